//! The decision log: JSON lines, each with all that is needed to ask the policy the same again.
//!
//! A line is one view on which something was decided: the view, what the built-in policy
//! remembered before, and the decisions, checked. So a line stands for itself, and a log may begin
//! in the middle of a job.

use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};

use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::supervisor::adviser::Adviser;
use crate::supervisor::decision::Decision;
use crate::supervisor::load::LoadView;
use crate::supervisor::policy::Balanced;

/// A longer line is none of ours: 1,024 partitions and 4,096 groups make less than 1 MiB a domain.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What was seen.
    pub view: LoadView,
    /// The built-in policy before it was asked; `None` for a user's own.
    pub policy: Option<Balanced>,
    /// What was decided.
    pub decisions: Vec<Decision>,
    /// Actions of lines before that did not begin, each with the reason. Not replayed: it is not
    /// the policy that says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_begun: Vec<Decision>,
}

impl Entry {
    /// Asks `adviser` about `view`, and keeps what the log needs. Not worth a line if nothing was
    /// decided.
    pub fn of(adviser: &mut Adviser, view: LoadView) -> Entry {
        let policy = adviser.built_in().cloned();
        let decisions = adviser.plan(&view);
        Entry { view, policy, decisions, not_begun: Vec::new() }
    }

    /// The line, without its end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("numbers, strings and lists always have a JSON form")
    }

    /// Asks the same policy the same again, and says whether it decides the same; `None` for the
    /// policy of a user, which is not here.
    pub fn is_repeated(&self) -> Option<bool> {
        let policy = self.policy.clone()?;
        let again = Adviser::new(Box::new(policy)).plan(&self.view);
        Some(again == self.decisions)
    }
}

/// What replaying a log came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Lines, each a view.
    pub views: u64,
    /// Decisions in them.
    pub decisions: u64,
    /// Actions among those.
    pub actions: u64,
    /// Lines of a policy that is not built in; they are not replayed.
    pub foreign: u64,
    /// Lines on which something else is decided now.
    pub different: u64,
    /// The first of these, counted from 1.
    pub first_different: Option<u64>,
}

/// Replays a log to its end.
///
/// * `name` - how errors call it.
///
/// # Errors
/// [`ErrorKind::BadData`] with the line if it is none of a decision log, or if there is no line;
/// [`ErrorKind::Io`] if reading fails.
pub fn replay(name: &str, mut input: impl BufRead) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = input.by_ref().take(LINE_BYTES_MAX + 1);
        limited.read_until(b'\n', &mut line).map_err(|error| {
            Error::new(ErrorKind::Io, format!("read failed at {name}")).with_source(error)
        })?;
        if line.is_empty() {
            break;
        }
        replayed.views += 1;
        let place = format!("{name} line {}", replayed.views);
        let entry = entry(&place, line.trim_ascii_end())?;
        replayed.decisions += entry.decisions.len() as u64;
        let actions = entry.decisions.iter().filter(|decision| decision.action().is_some());
        replayed.actions += actions.count() as u64;
        match entry.is_repeated() {
            None => replayed.foreign += 1,
            Some(true) => {}
            Some(false) => {
                replayed.different += 1;
                replayed.first_different.get_or_insert(replayed.views);
            }
        }
    }
    match replayed.views {
        0 => Err(bad(name, "empty decision log", b"", "allowed a line or more")),
        _ => Ok(replayed),
    }
}

fn entry(place: &str, line: &[u8]) -> Result<Entry> {
    const ALLOWED: &str = "allowed what --decisions writes";
    if line.len() as u64 > LINE_BYTES_MAX {
        return Err(bad(place, "line too long", line, ALLOWED));
    }
    let entry: Entry = serde_json::from_slice(line).map_err(|error| {
        let what = if error.is_eof() { "cut line" } else { "no line of a decision log" };
        bad(place, &format!("{what} ({error})"), line, ALLOWED)
    })?;
    let policy_fits = entry.policy.as_ref().map_or(Ok(()), |policy| policy.check(&entry.view));
    match entry.view.check().and(policy_fits) {
        Ok(()) => Ok(entry),
        Err(why) => Err(bad(place, &format!("wrong view ({why})"), line, ALLOWED)),
    }
}

fn bad(place: &str, what: &str, line: &[u8], allowed: &str) -> Error {
    // Enough of the line to show; a whole one may be a megabyte.
    let seen = shown(&String::from_utf8_lossy(&line[..line.len().min(200)]));
    Error::new(ErrorKind::BadData, format!("{what} at {place}: {seen}; {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rebalance;
    use crate::supervisor::sample::{percent, view};

    /// The log of ten seconds in which a key is hot at first and groups are uneven later.
    fn log() -> Vec<Entry> {
        let mut adviser = Adviser::new(Box::new(Balanced::new(Rebalance::Combine)));
        let mut view = view(4, percent(150));
        view.add_key(9, percent(170));
        let mut entries = Vec::new();
        for tick in 0..100 {
            view.pass();
            if tick == 50 {
                (1..30).for_each(|group| view.domains[0].demands[group] += percent(2));
            }
            let entry = Entry::of(&mut adviser, view.clone());
            let actions = entry.decisions.iter().filter_map(Decision::action);
            actions.for_each(|action| view.apply(action));
            if !entry.decisions.is_empty() {
                entries.push(entry);
            }
        }
        entries
    }

    fn text(entries: &[Entry]) -> String {
        entries.iter().map(|entry| entry.line() + "\n").collect()
    }

    #[test]
    fn a_log_that_is_written_and_read_gives_the_same_decisions_again() {
        let entries = log();
        assert!(entries.len() >= 4, "{} lines", entries.len());
        let text = text(&entries);
        let replayed = replay("d.jsonl", text.as_bytes()).expect("a log");
        assert_eq!(replayed.views, entries.len() as u64);
        assert!(replayed.actions > 2 && replayed.decisions > replayed.actions);
        assert_eq!((replayed.different, replayed.first_different), (0, None));
        let read: Entry = serde_json::from_str(text.lines().next().expect("a line")).expect("read");
        assert_eq!(read, entries[0]);
    }

    #[test]
    fn a_log_may_begin_in_the_middle() {
        let entries = log();
        let replayed = replay("d.jsonl", text(&entries[3..]).as_bytes()).expect("a log");
        assert_eq!(replayed.different, 0);
    }

    #[test]
    fn another_decision_on_the_same_view_is_found() {
        let mut entries = log();
        entries[2].decisions.pop();
        let replayed = replay("d.jsonl", text(&entries).as_bytes()).expect("a log");
        assert_eq!((replayed.different, replayed.first_different), (1, Some(3)));
    }

    #[test]
    fn decisions_of_a_users_policy_are_counted_and_not_replayed() {
        let mut entries = log();
        entries[0].policy = None;
        let replayed = replay("d.jsonl", text(&entries).as_bytes()).expect("a log");
        assert_eq!((replayed.foreign, replayed.different), (1, 0));
    }

    #[test]
    fn what_is_no_log_is_refused_in_one_line() {
        let good = text(&log()[..1]);
        let wrong_owner = good.replacen("\"owners\":[0,", "\"owners\":[7,", 1);
        let short = good.replacen("\"owners\":[0,", "\"owners\":[", 1);
        let extra = good.replacen("\"view\"", "\"extra\":1,\"view\"", 1);
        let cases: [(&[u8], &str); 8] = [
            (b"", "empty decision log at d.jsonl: \"\""),
            (b"\n", "cut line"),
            (b"{}\n", "no line of a decision log"),
            (b"\xff\xfe\n", "no line of a decision log"),
            (&good.as_bytes()[..good.len() / 2], "cut line"),
            (wrong_owner.as_bytes(), "wrong view (key group 0 belongs to partition 7 of 4)"),
            (short.as_bytes(), "wrong view (4095 owners of key groups, allowed 4096)"),
            (extra.as_bytes(), "no line of a decision log"),
        ];
        for (bytes, wanted) in cases {
            let error = replay("d.jsonl", bytes).expect_err(wanted);
            assert_eq!(error.kind(), ErrorKind::BadData);
            let told = error.to_string();
            assert!(told.starts_with(wanted), "{told} is not {wanted}");
            assert!(!told.contains('\n') && told.len() < 400, "{told}");
        }
    }
}
