//! What the README shows is what the examples are and do.

// The tests read the package's own files; in them an `unwrap` is a failure like any other.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::Path;

fn file(path: &str) -> String {
    read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The code block between the README's markers of `name`.
fn shown(name: &str) -> String {
    let readme = file("README.md");
    let (_, rest) = readme.split_once(&format!("<!-- {name}:begin")).unwrap();
    let (block, _) = rest.split_once(&format!("<!-- {name}:end")).unwrap();
    let (_, code) = block.split_once("```").unwrap().1.split_once('\n').unwrap();
    code.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_word_count_is_the_example_without_its_purpose_line() {
    let example = file("examples/wordcount.rs");
    assert_eq!(shown("wordcount"), example.split_once("\n\n").unwrap().1);
}

#[test]
fn the_words_are_those_of_the_licences() {
    let (mut counts, mut lines) = (BTreeMap::new(), String::new());
    for word in (file("LICENSE-MIT") + "\n" + &file("LICENSE-APACHE")).split_whitespace() {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (word, count) in &counts[..5] {
        lines += &format!("{count:5} {word}\n");
    }
    assert_eq!(shown("output"), lines);
}

#[test]
fn the_flights_are_those_that_python_counted() {
    let expected: serde_json::Value =
        serde_json::from_str(&file("tests/fixtures/flights_expected.json")).unwrap();
    let shown = shown("flights");
    let rows: Vec<&str> = shown.lines().skip(1).collect();
    assert_eq!(rows.len(), 3);
    for (row, airport) in rows.into_iter().zip(expected["airports"].as_array().unwrap()) {
        let text = |name: &str| match &airport[name] {
            serde_json::Value::String(text) => text.clone(),
            number if number.is_u64() => number.to_string(),
            number => format!("{:.1}", number.as_f64().unwrap()),
        };
        let names = ["origin", "flights", "delayed_known", "mean_delay", "std_dev_delay"];
        let mut cells: Vec<String> = names.map(text).into();
        cells.extend(["worst_destination", "worst_mean_delay"].map(text));
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), cells);
    }
}
