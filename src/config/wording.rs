//! The words of a refusal: a strange value made printable, and the name that was probably meant.

use crate::error::Error;

/// Most characters of a refused value that an error repeats.
const SHOWN_MAX: usize = 80;

/// Words longer than this are no slip of the finger, and comparing them costs their square.
const COMPARED_MAX: usize = 64;

/// Makes `value` fit for an error line: control and other unprintable characters escaped, at most
/// 80 characters in all, `""` if it is empty.
pub(crate) fn shown(value: &str) -> String {
    if value.is_empty() {
        return "\"\"".to_owned();
    }
    let mut line = String::new();
    let mut length = 0;
    for character in value.chars() {
        let escaped = match character {
            '\'' | '"' => character.to_string(),
            _ => character.escape_debug().to_string(),
        };
        let escaped_length = escaped.chars().count();
        if length + escaped_length > SHOWN_MAX {
            return cut(line);
        }
        line.push_str(&escaped);
        length += escaped_length;
    }
    line
}

/// The candidate nearest to `word`, if it is so near that it was probably meant.
///
/// * `candidates` - names as they are written, compared with `-` and `_` and both cases alike.
/// * returns - the first of the nearest; `None` if each is further off than one edit for every
///   three characters, at least one and at most three.
///
/// # Source
/// Optimal string alignment distance: insert, delete, replace, swap neighbours.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = folded(word);
    if word.len() > COMPARED_MAX {
        return None;
    }
    let near = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &folded(candidate)), candidate))
        .filter(|(edits, _)| *edits <= near)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// One error that says all of `problems`, a line each; its kind is that of the first.
///
/// * returns - `None` if there is none.
pub(crate) fn together(mut problems: Vec<Error>) -> Option<Error> {
    if problems.len() < 2 {
        return problems.pop();
    }
    let kind = problems.first()?.kind();
    let lines: Vec<String> = problems.iter().map(Error::to_string).collect();
    Some(Error::new(kind, lines.join("\n")))
}

fn cut(mut line: String) -> String {
    while line.chars().count() >= SHOWN_MAX {
        line.pop();
    }
    line.push('…');
    line
}

fn folded(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, from_character) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, to_character) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(from_character != to_character);
            let mut edits = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0
                && column > 0
                && from[row - 1] == *to_character
                && to[column - 1] == *from_character;
            if swapped {
                edits = edits.min(before[column - 1] + 1);
            }
            current.push(edits);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn distance_counts_inserts_deletes_replacements_and_swaps() {
        let edits = |from: &str, to: &str| distance(&folded(from), &folded(to));
        assert_eq!(edits("linger", "linger"), 0);
        assert_eq!(edits("partitons", "partitions"), 1);
        assert_eq!(edits("lignerr", "linger"), 2);
        assert_eq!(edits("", "pin"), 3);
        assert_eq!(edits("pin", ""), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
    }

    #[test]
    fn closest_finds_the_slip_and_leaves_strangers_alone() {
        let names = ["partitions", "pin", "linger", "batch-size"];
        assert_eq!(closest("partitons", names), Some("partitions"));
        assert_eq!(closest("BATCH_SIZE", names), Some("batch-size"));
        assert_eq!(closest("nip", names), None);
        assert_eq!(closest("colour", names), None);
        assert_eq!(closest("", names), None);
        assert_eq!(closest(&"p".repeat(1_000_000), names), None);
    }

    #[test]
    fn shown_value_is_one_printable_line_of_80_characters() {
        assert_eq!(shown("0-3"), "0-3");
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("a\nb\u{1b}[31m\u{202e}"), "a\\nb\\u{1b}[31m\\u{202e}");
        assert_eq!(shown("it's \"so\""), "it's \"so\"");
        assert_eq!(shown(&"x".repeat(80)), "x".repeat(80));
        let long = shown(&"x".repeat(81));
        assert_eq!(long, format!("{}…", "x".repeat(79)));
        assert!(shown(&"\n".repeat(500)).chars().count() <= 80);
    }

    #[test]
    fn problems_are_told_together_a_line_each() {
        assert!(together(Vec::new()).is_none());
        let first = Error::new(ErrorKind::Usage, "one");
        let second = Error::new(ErrorKind::InvalidConfig, "two");
        let error = together(vec![first, second]).expect("two problems");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.to_string(), "one\ntwo");
    }
}
