//! Style as a test: layers and cycles, sizes, words, purpose lines, and what only a shell may call.
//!
//! The first test reads every `.rs` file of the package and prints each finding as
//! `file:line: what is wrong and what to do`. Each rule stands in a file of its own beside tests
//! that show it fire on a bad snippet.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/shells.rs"]
mod shells;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use source::{Finding, SourceFile};

/// Every rule over every file.
fn findings(files: &[SourceFile]) -> Vec<Finding> {
    let mut all = layers::check(files);
    for file in files {
        all.extend(sizes::check(file));
        all.extend(words::check(file));
        all.extend(shells::check(file));
    }
    all.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    all
}

#[test]
fn this_package_is_tidy() {
    let files = source::read_package().expect("every file of the package can be read and parsed");
    let read = |path: &str| files.iter().any(|file| file.path == path);
    assert!(read("src/lib.rs") && read("tests/tidy.rs"), "the walk misses files");
    let found = findings(&files);
    let lines: Vec<String> = found.iter().map(Finding::to_string).collect();
    assert!(found.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn findings_of_all_rules_come_out_in_order_of_file_and_line() {
    let late = SourceFile::parse(
        "src/time/b.rs",
        "//! B, the late one.\nfn b() { std::process::exit(1) }\n",
    );
    let early =
        SourceFile::parse("src/time/a.rs", "//! A, the early one.\nuse crate::runtime::Turn;\n");
    let text: Vec<String> = findings(&[late, early]).iter().map(Finding::to_string).collect();
    assert_eq!(text.len(), 2, "{text:?}");
    assert!(text[0].starts_with("src/time/a.rs:2: "), "{text:?}");
    assert!(text[1].starts_with("src/time/b.rs:2: "), "{text:?}");
}
