//! What the rules look at: a file's text, its tree, its paths, and which lines are test code.

use std::fmt;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::Visit;

/// One thing that is wrong, and where.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counts from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// A path as it stands in the code, braces resolved: `use a::{b, c::d}` is `a::b` and `a::c::d`.
/// Comments, doc comments and strings hold none; macro arguments do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CodePath {
    /// `*` stands for a glob.
    pub(crate) segments: Vec<String>,
    /// Where its last segment stands.
    pub(crate) line: usize,
    /// A `!` follows.
    pub(crate) is_macro: bool,
    /// A `.` comes before: a method or a field.
    pub(crate) is_member: bool,
}

impl CodePath {
    /// Whether `wanted` (such as `Instant::now`) stands in it, whole segments only.
    pub(crate) fn contains(&self, wanted: &str) -> bool {
        let wanted: Vec<&str> = wanted.split("::").collect();
        self.segments.windows(wanted.len()).any(|window| window == wanted)
    }
}

/// A parsed file of the package.
pub(crate) struct SourceFile {
    /// From the package's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tree: syn::File,
    pub(crate) paths: Vec<CodePath>,
    /// Lines of the items that only a test build sees.
    test_lines: Vec<RangeInclusive<usize>>,
}

impl SourceFile {
    /// Panics with the path and the place if `text` is not Rust.
    pub(crate) fn parse(path: &str, text: &str) -> SourceFile {
        let place = |error: &dyn fmt::Display, span: proc_macro2::Span| -> String {
            format!("{path}:{}: {error}", span.start().line)
        };
        let tree = syn::parse_file(text).unwrap_or_else(|e| panic!("{}", place(&e, e.span())));
        let tokens: TokenStream =
            text.parse().unwrap_or_else(|e: proc_macro2::LexError| panic!("{path}: {e}"));
        let mut paths = Vec::new();
        collect_paths(tokens, &mut paths);
        let mut tests = TestLines::default();
        tests.visit_file(&tree);
        SourceFile {
            path: path.to_string(),
            text: text.to_string(),
            tree,
            paths,
            test_lines: tests.ranges,
        }
    }

    /// The module right below the crate's root that the file belongs to, if it is library code
    /// below the root: `exchange` for `src/exchange/lane.rs` and for `src/exchange.rs`.
    pub(crate) fn top_module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let name = inside.split('/').next()?.trim_end_matches(".rs");
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    /// How many `super` lead from the file's top level to the crate's root.
    pub(crate) fn module_depth(&self) -> usize {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).count()
    }

    /// Whether a line belongs to code that only a test build sees.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let is_test_file = self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || matches!(name.rsplit('_').next(), Some("test" | "tests"));
        is_test_file || self.test_lines.iter().any(|range| range.contains(&line))
    }

    pub(crate) fn finding(&self, line: usize, text: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, text: text.into() }
    }
}

/// Reads every `.rs` file of the package: library, tests, benches (the peers too) and examples.
pub(crate) fn read_package() -> io::Result<Vec<SourceFile>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        if root.join(folder).is_dir() {
            read_folder(root, &root.join(folder), &mut files)?;
        }
    }
    Ok(files)
}

fn read_folder(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                read_folder(root, &path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let name = path.strip_prefix(root).expect("the walk starts at the root");
            files.push(SourceFile::parse(&name.to_string_lossy().replace('\\', "/"), &text));
        }
    }
    Ok(())
}

/// Collects the items that carry `#[cfg(test)]` or `#[test]`.
#[derive(Default)]
struct TestLines {
    ranges: Vec<RangeInclusive<usize>>,
}

impl<'ast> Visit<'ast> for TestLines {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if item_attributes(item).iter().any(is_for_tests) {
            let span = item.span();
            self.ranges.push(span.start().line..=span.end().line);
        }
        syn::visit::visit_item(self, item);
    }
}

fn item_attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[test]`, or a `cfg` that only a test build fulfils.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    path.is_ident("test")
        || (path.is_ident("cfg")
            && attribute.parse_args().is_ok_and(|condition| implies_test(&condition)))
}

fn implies_test(condition: &syn::Meta) -> bool {
    let syn::Meta::List(list) = condition else { return condition.path().is_ident("test") };
    let parts = Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated;
    let Ok(parts) = list.parse_args_with(parts) else { return false };
    (list.path.is_ident("all") && parts.iter().any(implies_test))
        || (list.path.is_ident("any") && parts.iter().all(implies_test))
}

/// Appends every path of `tokens` to `paths`, those inside groups and macro arguments too.
pub(crate) fn collect_paths(tokens: TokenStream, paths: &mut Vec<CodePath>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        let is_member = at > 0 && is_punct(&tokens[at - 1], '.') && !is_range(&tokens, at);
        match &tokens[at] {
            TokenTree::Ident(_) => {
                at = read_path(&tokens, at, &[], paths);
                if let Some(path) = paths.last_mut() {
                    path.is_member |= is_member;
                }
            }
            TokenTree::Group(group) => {
                collect_paths(group.stream(), paths);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Reads the path that starts at `tokens[at]`, below `prefix`; returns where it ends.
fn read_path(
    tokens: &[TokenTree],
    at: usize,
    prefix: &[String],
    paths: &mut Vec<CodePath>,
) -> usize {
    let mut segments = prefix.to_vec();
    let mut at = at;
    let mut line = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(ident) => segments.push(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == '*' => segments.push("*".into()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                read_group(group.stream(), &segments, paths);
                return at + 1;
            }
            _ => break,
        }
        line = token.span().start().line;
        at += 1;
        if !is_double_colon(tokens, at) {
            break;
        }
        at += 2;
    }
    let is_macro = tokens.get(at).is_some_and(|token| is_punct(token, '!'))
        && !tokens.get(at + 1).is_some_and(|token| is_punct(token, '='));
    paths.push(CodePath { segments, line, is_macro, is_member: false });
    at
}

/// Reads the entries of a `use` group; each goes on from `prefix`.
fn read_group(stream: TokenStream, prefix: &[String], paths: &mut Vec<CodePath>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    for entry in tokens.split(|token| is_punct(token, ',')) {
        if !entry.is_empty() {
            read_path(entry, 0, prefix, paths);
        }
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_double_colon(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| tokens.get(at).is_some_and(|token| is_punct(token, ':'));
    colon(at) && colon(at + 1)
}

/// Whether the dot before `at` is the second one of `..`.
fn is_range(tokens: &[TokenTree], at: usize) -> bool {
    at > 1 && is_punct(&tokens[at - 2], '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let file = SourceFile::parse("src/time/x.rs", text);
        file.paths.iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn braces_of_a_use_are_resolved_to_any_depth() {
        let found = paths("use crate::{time::Nanos, record::{self, Batch}, error::*};");
        for wanted in ["crate::time::Nanos", "crate::record::Batch", "crate::error::*"] {
            assert!(found.contains(&wanted.to_string()), "{wanted} is not in {found:?}");
        }
    }

    #[test]
    fn comments_strings_and_docs_hold_no_paths() {
        let text =
            "//! crate::a::A\n/// crate::b::B\nconst X: &str = \"crate::c::C\"; // crate::d\n";
        assert!(paths(text).iter().all(|path| !path.starts_with("crate")));
    }

    #[test]
    fn paths_inside_macro_arguments_are_seen_with_their_line() {
        let text = "fn f() {\n    assert!(\n        crate::time::ok());\n}\n";
        let file = SourceFile::parse("src/time/x.rs", text);
        let path = file.paths.iter().find(|path| path.contains("crate::time::ok"));
        assert_eq!(path.map(|path| path.line), Some(3));
    }

    #[test]
    fn lines_of_test_items_are_known_and_others_are_not() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n\
                    #[cfg(not(test))]\nfn c() {}\n";
        let file = SourceFile::parse("src/time/x.rs", text);
        let marks: Vec<bool> = (1..=7).map(|line| file.is_test(line)).collect();
        assert_eq!(marks, [false, true, true, true, true, false, false]);
    }

    #[test]
    fn conditions_and_file_names_tell_test_code() {
        for (condition, wanted) in [
            ("test", true),
            ("all(test, not(model))", true),
            ("all(unix, all(test))", true),
            ("any(test, feature = \"x\")", false),
            ("not(test)", false),
            ("all(unix, not(test))", false),
        ] {
            let file =
                SourceFile::parse("src/time/x.rs", &format!("#[cfg({condition})]\nfn f() {{}}"));
            assert_eq!(file.is_test(2), wanted, "{condition}");
        }
        for (path, wanted) in [
            ("src/state/table_test.rs", true),
            ("src/state/tests.rs", true),
            ("tests/x.rs", true),
            ("src/testing/latest.rs", false),
        ] {
            assert_eq!(SourceFile::parse(path, "").is_test(1), wanted, "{path}");
        }
    }

    #[test]
    fn top_module_and_depth_follow_the_path() {
        let of = |path: &str| {
            let file = SourceFile::parse(path, "");
            (file.top_module().map(str::to_string), file.module_depth())
        };
        assert_eq!(of("src/lib.rs"), (None, 0));
        assert_eq!(of("src/error.rs"), (Some("error".into()), 1));
        assert_eq!(of("src/time/mod.rs"), (Some("time".into()), 1));
        assert_eq!(of("src/state/table.rs"), (Some("state".into()), 2));
        assert_eq!(of("tests/tidy.rs").0, None);
    }
}
