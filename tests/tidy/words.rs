//! Purpose lines, words that say nothing, and notes of work left undone.

use proc_macro2::Ident;
use syn::visit::{self, Visit};

use crate::source::{Finding, SourceFile};

/// Words that no file, module, type, trait or function of ours has in its name, and what to say.
const BANNED: [(&str, &str); 9] = [
    ("manager", "name what it does"),
    ("handler", "name what it does"),
    ("helper", "name the noun it is about"),
    ("util", "name the noun it is about"),
    ("common", "name the noun it is about"),
    ("misc", "name the noun it is about"),
    ("worker", "say partition"),
    ("shard", "say partition"),
    ("temporary", "there is no second implementation beside the first"),
];

/// Put together from halves, so that this file does not find itself.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(no_purpose(file));
    findings.extend(notes(file));
    findings.extend(file_name(file));
    // The peers' words are theirs.
    if !file.path.starts_with("benches/peers/") {
        let mut names = Names { file, findings: Vec::new() };
        names.visit_file(&file.tree);
        findings.extend(names.findings);
    }
    findings
}

fn no_purpose(file: &SourceFile) -> Option<Finding> {
    let first = file.text.lines().next().unwrap_or_default();
    let purpose = first.strip_prefix("//!").unwrap_or_default().trim();
    let is_sentence = purpose.chars().filter(|c| c.is_alphabetic()).count() >= 8;
    (!is_sentence).then(|| file.finding(1, "the first line must be `//!` and the file's purpose"))
}

fn notes(file: &SourceFile) -> impl Iterator<Item = Finding> + '_ {
    let macros = ["todo", "unimplemented"].map(String::from);
    let calls = file.paths.iter().filter(move |path| {
        path.is_macro && path.segments.last().is_some_and(|name| macros.contains(name))
    });
    let calls = calls.map(|path| path.line);
    let is_note =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| NOTES.contains(&word));
    let comments = file.text.lines().zip(1..).filter(move |(text, _)| is_note(text));
    let lines = comments.map(|(_, line)| line).chain(calls);
    lines.map(|line| file.finding(line, "a note of work left undone; do it or drop it"))
}

fn file_name(file: &SourceFile) -> Option<Finding> {
    let path = file.path.trim_end_matches(".rs");
    let (word, instead) = path.split('/').find_map(banned_word)?;
    Some(file.finding(1, format!("`{word}` in the file's path says nothing; {instead}")))
}

/// The banned word in a name written `like_this` or `LikeThis`, also in the plural.
fn banned_word(name: &str) -> Option<(&'static str, &'static str)> {
    let mut spaced = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            spaced.push('_');
        }
        spaced.extend(letter.to_lowercase());
    }
    spaced.split(['_', '-']).find_map(|part| {
        let singular = part.strip_suffix('s').unwrap_or(part);
        BANNED.into_iter().find(|(word, _)| *word == part || *word == singular)
    })
}

/// Looks at the names that the file declares.
struct Names<'a> {
    file: &'a SourceFile,
    findings: Vec<Finding>,
}

impl Names<'_> {
    fn declared(&mut self, ident: &Ident) {
        if let Some((word, instead)) = banned_word(&ident.to_string()) {
            let text = format!("`{word}` in the name `{ident}` says nothing; {instead}");
            self.findings.push(self.file.finding(ident.span().start().line, text));
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.declared(&item.ident);
        visit::visit_item_mod(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.declared(&item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.declared(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.declared(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        // Tests are named as sentences, which may speak of what is wrong.
        if !self.file.is_test(signature.ident.span().start().line) {
            self.declared(&signature.ident);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let text = format!("//! Purpose of the file.\n{text}");
        check(&SourceFile::parse(path, &text)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn file_without_a_purpose_line_fails() {
        for text in ["", "use std::fmt;\n//! Late purpose.", "// Purpose", "//!", "//! -----"] {
            // An inner comment after an item does not parse, which is an error of its own.
            let Ok(tree) = syn::parse_file(text) else { continue };
            let mut file = SourceFile::parse("examples/x.rs", "");
            (file.tree, file.text) = (tree, text.to_string());
            assert_eq!(check(&file).len(), 1, "{text:?}");
        }
        assert_eq!(found("examples/x.rs", ""), [""; 0]);
    }

    #[test]
    fn notes_of_undone_work_fail_in_comments_and_as_macros() {
        for note in NOTES {
            assert_eq!(
                found("src/x.rs", &format!("\n// {note}: later"))[0].split(':').nth(1),
                Some("3")
            );
        }
        assert_eq!(found("src/x.rs", "fn f() { todo!() }").len(), 1);
        assert_eq!(found("src/x.rs", "fn f() { unimplemented!(\"x\") }").len(), 1);
        assert_eq!(found("src/x.rs", "// A mastodon is no note."), [""; 0]);
    }

    #[test]
    fn banned_word_fails_in_paths_and_declared_names() {
        for path in ["src/utils.rs", "src/lane_helper.rs", "tests/common/mod.rs"] {
            assert_eq!(found(path, "").len(), 1, "{path}");
        }
        for (word, _) in BANNED {
            let camel = word[..1].to_uppercase() + &word[1..];
            for text in [
                format!("mod {word} {{}}"),
                format!("fn start_{word}() {{}}"),
                format!("struct Lane{camel};"),
                format!("enum {camel}s {{}}"),
                format!("trait {camel} {{}}"),
                format!("impl X {{ fn {word}(&self) {{}} }}"),
            ] {
                assert_eq!(found("src/x.rs", &text).len(), 1, "{text}");
            }
        }
    }

    #[test]
    fn words_that_only_contain_a_banned_one_pass() {
        let text = "struct Coworking; fn utility_of() {} mod uncommon {}";
        assert_eq!(found("src/sharding.rs", text), [""; 0]);
        assert_eq!(found("benches/peers/src/timely.rs", "fn one_worker() {}"), [""; 0]);
    }
}
