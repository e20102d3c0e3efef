//! Lists of cores as `taskset` takes them: `0-3,8`, `0-10:2`.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::parse::{self, Refusal};

/// The largest core number that a list may name; it bounds how many a range can stand for.
const CORE_MAX: u64 = 65_535;

/// What a list looks like, for help and refusals.
pub(crate) const ALLOWED: &str = "a list such as 0-3,8 that names each core once";

/// Distinct core numbers in the order in which they were named: partition 0 gets the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreList {
    cores: Vec<usize>,
}

impl CoreList {
    /// Reads `0-3,8`; a range may have a stride, as in `0-10:2`.
    pub(crate) fn parse(text: &str) -> Result<CoreList, Refusal> {
        if text.is_empty() {
            return Err(Refusal::new("empty value", ALLOWED));
        }
        let mut seen = BTreeSet::new();
        let mut cores = Vec::new();
        for part in text.split(',') {
            for core in parse_range(part)? {
                if !seen.insert(core) {
                    return Err(Refusal::new("core named twice", ALLOWED));
                }
                cores.push(core);
            }
        }
        Ok(CoreList { cores })
    }

    /// Refuses the list if it names a core that is not in `allowed`.
    pub(crate) fn within(&self, allowed: &CoreList) -> Result<(), Refusal> {
        if self.cores.iter().all(|core| allowed.contains(*core)) {
            return Ok(());
        }
        Err(Refusal::new("core not available", ALLOWED))
    }

    /// Whether the list names `core`.
    pub fn contains(&self, core: usize) -> bool {
        self.cores.contains(&core)
    }

    /// How many cores the list names.
    pub fn len(&self) -> usize {
        self.cores.len()
    }

    /// Whether the list names no core; a list that was read from text names one at least.
    pub fn is_empty(&self) -> bool {
        self.cores.is_empty()
    }

    /// The core numbers in the order in which they were named.
    pub fn as_slice(&self) -> &[usize] {
        &self.cores
    }
}

/// Keeps the order; of a core that comes twice, the first stays.
impl FromIterator<usize> for CoreList {
    fn from_iter<I: IntoIterator<Item = usize>>(cores: I) -> CoreList {
        let mut seen = BTreeSet::new();
        CoreList { cores: cores.into_iter().filter(|core| seen.insert(*core)).collect() }
    }
}

/// Writes runs as ranges, as in `0-3,8`.
impl fmt::Display for CoreList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.cores.chunk_by(|core, next| core.checked_add(1) == Some(*next));
        for (index, run) in runs.enumerate() {
            let separator = if index == 0 { "" } else { "," };
            match run {
                [core] => write!(f, "{separator}{core}")?,
                [first, .., last] => write!(f, "{separator}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

fn parse_range(part: &str) -> Result<impl Iterator<Item = usize>, Refusal> {
    let (range, stride) = match part.split_once(':') {
        Some((range, stride)) => (range, number(stride)?),
        None => (part, 1),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None if range.len() == part.len() => (number(range)?, number(range)?),
        None => return Err(Refusal::new("stride without a range", ALLOWED)),
    };
    if first > last {
        return Err(Refusal::new("reversed range", ALLOWED));
    }
    if stride == 0 {
        return Err(Refusal::new("stride of 0", ALLOWED));
    }
    Ok((first..=last).step_by(stride))
}

fn number(text: &str) -> Result<usize, Refusal> {
    let number = parse::count(text, 0..=CORE_MAX).map_err(|refusal| {
        let what = match refusal.what {
            "out of range" => "core number out of range",
            _ => "not a list of cores",
        };
        Refusal::new(what, ALLOWED)
    })?;
    Ok(usize::try_from(number).expect("CORE_MAX fits"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cores(text: &str) -> Vec<usize> {
        CoreList::parse(text).expect(text).as_slice().to_vec()
    }

    #[test]
    fn lists_ranges_and_strides_are_read_in_order() {
        assert_eq!(cores("0-3,8"), [0, 1, 2, 3, 8]);
        assert_eq!(cores("8,0-1"), [8, 0, 1]);
        assert_eq!(cores("5"), [5]);
        assert_eq!(cores("2-2"), [2]);
        assert_eq!(cores("0-10:4"), [0, 4, 8]);
    }

    #[test]
    fn wrong_lists_say_what_is_wrong() {
        for (text, problem) in [
            ("", "empty value"),
            ("3-1", "reversed range"),
            ("0,0", "core named twice"),
            ("0-3,2", "core named twice"),
            ("0,", "not a list of cores"),
            ("-1", "not a list of cores"),
            ("1-", "not a list of cores"),
            ("0-3-5", "not a list of cores"),
            ("all", "not a list of cores"),
            ("0 1", "not a list of cores"),
            ("0-4:0", "stride of 0"),
            ("4:2", "stride without a range"),
            ("65536", "core number out of range"),
            ("0-99999999999999999999", "core number out of range"),
        ] {
            assert_eq!(CoreList::parse(text).expect_err(text).what, problem, "{text}");
        }
    }

    #[test]
    fn list_beyond_the_allowed_set_is_refused() {
        let allowed: CoreList = [0, 1, 4].into_iter().collect();
        assert_eq!(CoreList::parse("1,4").expect("list").within(&allowed), Ok(()));
        let refusal = CoreList::parse("1,5000").expect("list").within(&allowed);
        assert_eq!(refusal.expect_err("no core 5000").what, "core not available");
    }

    #[test]
    fn collected_cores_are_distinct() {
        let list: CoreList = [2, 0, 2, 1].into_iter().collect();
        assert_eq!(list.as_slice(), [2, 0, 1]);
        assert_eq!(list.to_string(), "2,0-1");
        assert!(!list.is_empty());
    }

    proptest! {
        #[test]
        fn list_is_read_back_as_written(cores in proptest::collection::vec(0usize..70, 1..40)) {
            let list: CoreList = cores.into_iter().collect();
            prop_assert_eq!(CoreList::parse(&list.to_string()), Ok(list));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9,:x-]{0,12}") {
            let _ = CoreList::parse(&text);
        }
    }
}
