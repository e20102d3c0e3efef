//! Imports go to a lower layer, or to the left within one; there is no cycle.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{CodePath, Finding, SourceFile};

/// The layers, lowest first; within one, a module imports only from its left.
const LAYERS: [&[&str]; 9] = [
    &["error", "time", "config"],
    &["record", "metrics"],
    &["routing", "state", "snapshot"],
    &["exchange", "hand_over"],
    &["dataflow"],
    &["operator", "connector"],
    &["runtime"],
    &["checkpoint", "supervisor"],
    &["engine", "prelude", "testing", "nexmark", "cli", "dashboard"],
];

/// Imports that the order would allow and the design does not.
const STRANGERS: [(&str, &str, &str); 3] = [
    ("connector", "operator", "built-ins see layers 1 to 5, never each other"),
    ("runtime", "operator", "the runtime steps `dyn Task`, never a built-in"),
    ("runtime", "connector", "the runtime steps `dyn Task`, never a built-in"),
];

/// One import from one module of the crate by another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Import<'a> {
    from: &'a str,
    to: &'a str,
    path: &'a str,
    line: usize,
}

pub(crate) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut imports = Vec::new();
    for file in files {
        let Some(from) = file.top_module() else { continue };
        if rank(from).is_none() {
            let text = format!("module `{from}` has no layer; put it into the table of layers");
            findings.push(file.finding(1, text));
        }
        for path in &file.paths {
            match target(path) {
                Ok(Some(to)) => {
                    imports.push(Import { from, to, path: &file.path, line: path.line })
                }
                Ok(None) => {}
                Err(text) => findings.push(file.finding(path.line, text)),
            }
            findings.extend(climbs_to_the_root(file, path));
        }
    }
    imports.retain(|import| import.from != import.to);
    imports.dedup();
    findings.extend(imports.iter().filter_map(wrong_direction));
    findings.extend(cycle(&imports));
    findings
}

/// The layer's index and the place within it.
fn rank(module: &str) -> Option<(usize, usize)> {
    LAYERS.iter().enumerate().find_map(|(layer, modules)| {
        modules.iter().position(|name| *name == module).map(|place| (layer, place))
    })
}

/// The module that a path starting with `crate` goes to; an error if it names none.
fn target(path: &CodePath) -> Result<Option<&str>, String> {
    if path.segments[0] != "crate" {
        return Ok(None);
    }
    match path.segments.get(1).map(String::as_str) {
        // `pub(crate)` is no import.
        None => Ok(None),
        Some("*" | "self") => Err("an import of the whole crate; name the module".into()),
        Some(name) if rank(name).is_some() => Ok(Some(name)),
        Some(name) => Err(format!("`crate::{name}` is in no layer; write `crate::<module>::…`")),
    }
}

/// `super` up to the root reaches other modules behind the table's back. Modules inside a file
/// add to the depth, and only those for tests are common, so one level is granted to them.
fn climbs_to_the_root(file: &SourceFile, path: &CodePath) -> Option<Finding> {
    let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
    let depth = file.module_depth() + usize::from(file.is_test(path.line));
    (supers >= depth && supers > 0).then(|| {
        file.finding(path.line, "`super` up to the crate's root; write `crate::<module>::…`")
    })
}

fn wrong_direction(import: &Import<'_>) -> Option<Finding> {
    let (from, to) = (rank(import.from)?, rank(import.to)?);
    let stranger = STRANGERS.iter().find(|(a, b, _)| (*a, *b) == (import.from, import.to));
    let reason = match stranger {
        Some((_, _, reason)) => (*reason).to_string(),
        None if to < from => return None,
        None if to.0 == from.0 => {
            format!("it stands to the right of `{}` in layer {}", import.from, to.0 + 1)
        }
        None => format!("layer {} is above layer {}", to.0 + 1, from.0 + 1),
    };
    let text = format!("`{}` imports `{}`: {reason}", import.from, import.to);
    Some(Finding { path: import.path.into(), line: import.line, text })
}

/// The first cycle among modules, reported at the import that closes it. The order of layers
/// excludes cycles by itself; this holds even where the table is wrong.
fn cycle(imports: &[Import<'_>]) -> Option<Finding> {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        graph.entry(import.from).or_default().insert(import.to);
    }
    graph.keys().find_map(|start| {
        let way = way_back(&graph, start, start, &mut BTreeSet::new())?;
        let last = *way.last().expect("a way has at least its start");
        let closing = imports.iter().find(|i| i.from == last && i.to == *start)?;
        let text = format!("cycle among modules: {} -> {start}", way.join(" -> "));
        Some(Finding { path: closing.path.into(), line: closing.line, text })
    })
}

/// The modules from `at` up to the one that imports `goal`, if `goal` can be reached.
fn way_back<'a>(
    graph: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    at: &'a str,
    goal: &str,
    seen: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    let next = graph.get(at)?;
    if next.contains(goal) {
        return Some(vec![at]);
    }
    next.iter().filter(|name| **name != at).find_map(|name| {
        let tail = seen.insert(name).then(|| way_back(graph, name, goal, seen))??;
        Some([vec![at], tail].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> =
            files.iter().map(|(path, text)| SourceFile::parse(path, text)).collect();
        check(&files).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn import_from_below_or_from_the_left_passes() {
        let lane = "use crate::record::Batch;\npub(crate) fn f() { crate::error::x() }\n";
        let right = "use crate::exchange::{lane, outbox};\nuse super::donor;\n";
        let files = [("src/exchange/lane.rs", lane), ("src/hand_over/feeder.rs", right)];
        assert_eq!(found(&files), [""; 0]);
    }

    #[test]
    fn upward_import_is_named_with_file_and_line() {
        let found = found(&[("src/exchange/lane.rs", "//! L.\n\nuse crate::runtime::Turn;\n")]);
        assert_eq!(
            found,
            ["src/exchange/lane.rs:3: `exchange` imports `runtime`: layer 7 is above layer 4"]
        );
    }

    #[test]
    fn upward_import_is_found_in_a_group_a_body_a_macro_and_a_test() {
        for text in [
            "use crate::{error::Error, runtime};",
            "use crate::{error::{Error, Result}, runtime::{self, turn}};",
            "fn f() { crate::runtime::start() }",
            "fn f() { assert!(x == crate::runtime::Y) }",
            "type T = Vec<crate::runtime::Turn>;",
            "#[cfg(test)]\nmod tests { use crate::runtime::Turn; }",
            "macro_rules! m { () => { $crate::runtime::f() } }",
        ] {
            let found = found(&[("src/state/table.rs", text)]);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].contains("`state` imports `runtime`"), "{found:?}");
        }
    }

    #[test]
    fn import_from_the_right_in_the_same_layer_fails() {
        let found = found(&[("src/time/clock.rs", "use crate::config::Config;")]);
        assert!(found[0].contains("to the right of `time` in layer 1"), "{found:?}");
    }

    #[test]
    fn built_ins_and_the_runtime_do_not_see_each_other() {
        for (path, to) in [
            ("src/connector/file.rs", "operator"),
            ("src/operator/map.rs", "connector"),
            ("src/runtime/turn.rs", "operator"),
            ("src/runtime/turn.rs", "connector"),
        ] {
            let found = found(&[(path, &format!("use crate::{to}::X;"))]);
            assert_eq!(found.len(), 1, "{path} -> {to}: {found:?}");
        }
    }

    #[test]
    fn module_without_a_layer_and_import_of_the_root_fail() {
        assert!(found(&[("src/extra.rs", "")])[0].contains("has no layer"));
        for text in ["use crate::Error;", "use crate::*;", "use crate::{self, time};"] {
            let found = found(&[("src/config/mod.rs", text)]);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
        }
    }

    #[test]
    fn super_up_to_the_root_fails() {
        assert_eq!(found(&[("src/state/table.rs", "use super::super::runtime::X;")]).len(), 1);
        assert_eq!(found(&[("src/error.rs", "use super::time::X;")]).len(), 1);
        let inner = "use super::key;\n#[cfg(test)]\nmod tests { use super::super::key; }\n";
        assert_eq!(found(&[("src/state/table.rs", inner)]), [""; 0]);
    }

    #[test]
    fn cycle_is_shown_with_its_way() {
        let found = found(&[
            ("src/error.rs", "use crate::state::X;"),
            ("src/record/mod.rs", "use crate::error::X;"),
            ("src/state/mod.rs", "use crate::record::X;"),
        ]);
        let wanted = "cycle among modules: error -> state -> record -> error";
        assert!(found.iter().any(|line| line.contains(wanted)), "{found:?}");
    }
}
