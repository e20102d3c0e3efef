//! Sizes: lines of a file and of a function, nesting, parameters, columns, names in the prelude.

use proc_macro2::Span;
use syn::visit::{self, Visit};

use crate::source::{Finding, SourceFile};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const NESTING_MAX: usize = 4;
const PARAMETERS_MAX: usize = 5;
const COLUMNS_MAX: usize = 100;
const PRELUDE_NAMES_MAX: usize = 20;

const _: () = assert!(FUNCTION_LINES_MAX < FILE_LINES_MAX);

pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut walk = Walk { file, nesting: 0, deepest: (0, 1), findings: Vec::new() };
    walk.visit_file(&file.tree);
    let mut findings = walk.findings;
    findings.extend(too_long(file));
    findings.extend(too_wide(file));
    findings
}

/// Lines that only a test build sees do not count, except in files of nothing but tests.
fn too_long(file: &SourceFile) -> Option<Finding> {
    let all_tests = file.path.starts_with("tests/");
    let counts = |line: &usize| all_tests || !file.is_test(*line);
    let lines = (1..=file.text.lines().count()).filter(counts).count();
    (lines > FILE_LINES_MAX).then(|| {
        let text =
            format!("{lines} lines without tests, {FILE_LINES_MAX} allowed; move a noun out");
        file.finding(FILE_LINES_MAX, text)
    })
}

fn too_wide(file: &SourceFile) -> impl Iterator<Item = Finding> + '_ {
    file.text.lines().zip(1..).filter_map(|(text, line)| {
        let columns = text.chars().count();
        let text = format!("{columns} columns, {COLUMNS_MAX} allowed");
        (columns > COLUMNS_MAX).then(|| file.finding(line, text))
    })
}

/// Walks the functions of a file.
struct Walk<'a> {
    file: &'a SourceFile,
    /// Blocks open around the current place, counted from the function's body, which is 0.
    nesting: usize,
    /// The deepest nesting of the current function, and its line.
    deepest: (usize, usize),
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn signature(&mut self, signature: &syn::Signature) {
        let count = signature.inputs.len();
        if count > PARAMETERS_MAX {
            let text = format!(
                "`{}` takes {count} parameters, {PARAMETERS_MAX} allowed; group them in a struct",
                signature.ident
            );
            self.report(signature.fn_token.span, text);
        }
    }

    /// Checks a function with a body, and walks what is inside.
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let start = signature.fn_token.span.start().line;
        let lines = block.brace_token.span.close().end().line + 1 - start;
        if lines > FUNCTION_LINES_MAX {
            let text =
                format!("`{}` has {lines} lines, {FUNCTION_LINES_MAX} allowed", signature.ident);
            self.report(signature.fn_token.span, text);
        }
        let outer = (self.nesting, self.deepest);
        (self.nesting, self.deepest) = (0, (0, start));
        for statement in &block.stmts {
            self.visit_stmt(statement);
        }
        let (depth, line) = self.deepest;
        (self.nesting, self.deepest) = outer;
        if depth > NESTING_MAX {
            let text = format!(
                "`{}` nests {depth} blocks here, {NESTING_MAX} allowed; take the inner one out",
                signature.ident
            );
            self.findings.push(self.file.finding(line, text));
        }
    }

    fn enter(&mut self, at: Span, inside: impl FnOnce(&mut Self)) {
        self.nesting += 1;
        if self.nesting > self.deepest.0 {
            self.deepest = (self.nesting, at.start().line);
        }
        inside(self);
        self.nesting -= 1;
    }

    fn report(&mut self, at: Span, text: String) {
        self.findings.push(self.file.finding(at.start().line, text));
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.signature(&item.sig);
        self.function(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.signature(&item.sig);
        self.function(&item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.signature(&item.sig);
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.enter(block.brace_token.span.open(), |walk| visit::visit_block(walk, block));
    }

    fn visit_expr_match(&mut self, item: &'ast syn::ExprMatch) {
        self.visit_expr(&item.expr);
        self.enter(item.match_token.span, |walk| {
            for arm in &item.arms {
                walk.visit_arm(arm);
            }
        });
    }

    /// The braces of an arm belong to its `match`, which has counted already.
    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let syn::Expr::Block(body) = &*arm.body else { return visit::visit_arm(self, arm) };
        self.visit_pat(&arm.pat);
        for statement in &body.block.stmts {
            self.visit_stmt(statement);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let content = item.content.as_ref().filter(|_| item.ident == "prelude");
        if let Some((_, items)) = content {
            self.prelude(item.mod_token.span, items);
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_file(&mut self, file: &'ast syn::File) {
        if matches!(&*self.file.path, "src/prelude.rs" | "src/prelude/mod.rs") {
            self.prelude(Span::call_site(), &file.items);
        }
        visit::visit_file(self, file);
    }
}

impl Walk<'_> {
    fn prelude(&mut self, at: Span, items: &[syn::Item]) {
        let mut names = Names::default();
        for item in items {
            names.visit_item(item);
        }
        if names.count > PRELUDE_NAMES_MAX {
            let text = format!("{} names in the prelude, {PRELUDE_NAMES_MAX} allowed", names.count);
            self.report(at, text);
        }
        if names.globs > 0 {
            self.report(at, "a glob in the prelude, whose names nobody counts".into());
        }
    }
}

/// Counts what the `use` items of a module bring in.
#[derive(Default)]
struct Names {
    count: usize,
    globs: usize,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_use_name(&mut self, _: &'ast syn::UseName) {
        self.count += 1;
    }

    fn visit_use_rename(&mut self, _: &'ast syn::UseRename) {
        self.count += 1;
    }

    fn visit_use_glob(&mut self, _: &'ast syn::UseGlob) {
        self.globs += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&SourceFile::parse(path, text)).iter().map(Finding::to_string).collect()
    }

    /// The only finding, which must be at `line` and speak of `what`.
    fn assert_one(text: &str, line: usize, what: &str) {
        let found = found("src/x.rs", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("src/x.rs:{line}: ")), "{found:?}");
        assert!(found[0].contains(what), "{found:?}");
    }

    #[test]
    fn file_of_500_lines_passes_and_501_fail_without_its_tests() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(300));
        assert_eq!(found("src/x.rs", &("//\n".repeat(500) + &tests)), [""; 0]);
        assert_one(&("//\n".repeat(501) + &tests), 500, "501 lines");
        assert_eq!(found("tests/x.rs", &"//\n".repeat(501)).len(), 1);
    }

    #[test]
    fn function_of_70_lines_passes_and_71_fail() {
        let function = |lines: usize| format!("\nfn f() {{\n{}}}\n", "//\n".repeat(lines - 2));
        assert_eq!(found("src/x.rs", &function(70)), [""; 0]);
        assert_one(&function(71), 2, "`f` has 71 lines");
        assert_one(&format!("impl X {{\n{}}}\n", function(71)), 3, "`f` has 71 lines");
        assert_one(&format!("trait X {{\n{}}}\n", function(71)), 3, "`f` has 71 lines");
    }

    #[test]
    fn five_blocks_in_a_function_fail_at_the_innermost() {
        let four = "fn f() { for a in b { while c { if d { loop {} } } } }";
        assert_eq!(found("src/x.rs", four), [""; 0]);
        let five = "fn f() {\nfor a in b {\nwhile c {\nif d {\nloop {\n{}\n} } } } }";
        assert_one(five, 6, "`f` nests 5 blocks");
        let closure = "fn f() { g(|| { if a { if b { if c { if d {} } } } }) }";
        assert_one(closure, 1, "nests 5 blocks");
    }

    #[test]
    fn match_counts_once_with_its_arms_and_a_chain_of_else_stays_flat() {
        let arms = "fn f() { match a { 1 => { match b { 2 => { if c {} } _ => {} } } _ => {} } }";
        let file = SourceFile::parse("src/x.rs", arms);
        let mut walk = Walk { file: &file, nesting: 0, deepest: (0, 1), findings: Vec::new() };
        let syn::Item::Fn(item) = &file.tree.items[0] else { panic!("a function") };
        walk.visit_stmt(&item.block.stmts[0]);
        assert_eq!(walk.deepest.0, 3);
        let chain = format!("fn f() {{ if a {{}} {} }}", "else if b {}\n".repeat(9));
        assert_eq!(found("src/x.rs", &chain), [""; 0]);
    }

    #[test]
    fn nested_function_starts_its_own_count() {
        let text = "fn f() { if a { if b { fn g() { if c { if d { if e {} } } } } } }";
        assert_eq!(found("src/x.rs", text), [""; 0]);
    }

    #[test]
    fn six_parameters_fail() {
        assert_eq!(found("src/x.rs", "fn f(a: A, b: B, c: C, d: D, e: E) {}"), [""; 0]);
        assert_one("fn f(a: A, b: B, c: C, d: D, e: E, g: G) {}", 1, "6 parameters");
        assert_one("trait T { fn f(&self, b: B, c: C, d: D, e: E, g: G); }", 1, "6 parameters");
    }

    #[test]
    fn line_of_101_columns_fails() {
        assert_eq!(found("src/x.rs", &"/".repeat(100)), [""; 0]);
        assert_one(&format!("\n{}", "/".repeat(101)), 2, "101 columns");
    }

    #[test]
    fn prelude_of_21_names_or_with_a_glob_fails() {
        let names = |count: usize| {
            let list: Vec<String> = (0..count).map(|i| format!("N{i}")).collect();
            format!("pub use crate::engine::{{{}}};", list.join(", "))
        };
        let lines = |text: &str| text.replace("}, N", "},\nN").replace(", ", ",\n");
        let module = |body: &str| format!("pub mod prelude {{ {} }}", lines(body));
        assert_eq!(found("src/x.rs", &module(&names(20))), [""; 0]);
        assert_one(&module(&names(21)), 1, "21 names");
        assert_one(&module("pub use crate::engine::*;"), 1, "glob");
        assert_eq!(found("src/prelude.rs", &lines(&names(21))).len(), 1);
    }
}
