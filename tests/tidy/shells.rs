//! What only the shells may call: clocks, files, threads, the environment, exits, output.

use crate::source::{CodePath, Finding, SourceFile};

/// A kind of call that reaches the world outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum World {
    Clock,
    Files,
    Threads,
    Environment,
    Exit,
    Print,
    Unsafe,
}

use World::{Clock, Environment, Exit, Files, Print, Threads, Unsafe};

const EVERYTHING: &[World] = &[Clock, Files, Threads, Environment, Exit, Print];

/// What a path in the code counts as, and what to write instead.
const CALLS: [(World, &[&str], &str); 5] = [
    (Clock, &["Instant::now", "SystemTime::now"], "take the time from `crate::time::Clock`"),
    (Files, &["std::fs"], "leave files to a connector or a door"),
    (
        Threads,
        &[
            "thread::spawn",
            "thread::scope",
            "thread::Builder",
            "thread::sleep",
            "thread::park",
            "thread::park_timeout",
            "thread::yield_now",
        ],
        "leave threads to `src/runtime/system.rs`; nothing on a partition blocks",
    ),
    (
        Environment,
        &["env::var", "env::vars", "env::var_os", "env::vars_os", "env::args", "env::args_os"],
        "take it from `crate::config::Config`",
    ),
    (Exit, &["process::exit", "process::abort"], "return an error; only `main` exits"),
];

const PRINTS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// Files that may, because somebody must. A path that ends in `/` is a folder.
const SHELLS: [(&str, &[World], &str); 21] = [
    ("src/time/clock.rs", &[Clock], "the one place that reads a clock"),
    ("src/config/file.rs", &[Files], "reads the file of knobs before any thread starts"),
    ("src/exchange/wake.rs", &[Threads], "the event count on which a thread sleeps"),
    ("src/runtime/system.rs", &[Threads], "starts the partitions' threads"),
    ("src/runtime/async_thread.rs", &[Threads], "starts the thread of a job's futures"),
    ("src/runtime/host/", &[Files, Threads], "reads what the host is from /proc and /sys"),
    ("src/runtime/lease.rs", &[Files, Threads], "locks files, and waits for its turn"),
    ("src/runtime/user_folder.rs", &[Files], "makes the folder in which jobs meet"),
    ("src/runtime/idle.rs", &[Threads], "the idle ladder yields and parks"),
    ("src/connector/", &[Files, Threads], "files are its business; blocking sources need threads"),
    ("src/engine/", &[Files, Threads, Environment], "a door: configuration and the job's threads"),
    ("src/cli/", EVERYTHING, "a door: argv, files, printing"),
    ("src/dashboard/", &[Files, Threads], "a door: serves from its own thread"),
    ("src/main.rs", EVERYTHING, "the program"),
    ("benches/", EVERYTHING, "measures from outside"),
    ("examples/", EVERYTHING, "programs of their own"),
    ("tests/", EVERYTHING, "programs of their own"),
    ("benches/state_layout.rs", &[Unsafe], "compares prefetching with the safe form"),
    ("tests/allocations.rs", &[Unsafe], "`GlobalAlloc`, which counts, is an unsafe trait"),
    ("benches/allocations.rs", &[Unsafe], "`GlobalAlloc`, which counts, is an unsafe trait"),
    ("src/cli/allocations.rs", &[Unsafe], "`GlobalAlloc`, which counts, is an unsafe trait"),
];

pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in &file.paths {
        if path.is_member && path.contains("do_send") {
            let text = "`do_send` ignores the mailbox's capacity; use `try_send`";
            findings.push(file.finding(path.line, text));
        }
        let Some((world, instead)) = reaches(path) else { continue };
        if !may(file, path.line, world) {
            let name = path.segments.join("::");
            findings.push(file.finding(path.line, format!("`{name}` outside a shell; {instead}")));
        }
    }
    findings
}

/// The world that a path reaches into, if it does, and what to write instead.
fn reaches(path: &CodePath) -> Option<(World, &'static str)> {
    if path.segments == ["unsafe"] {
        return Some((Unsafe, "only the files that the table names have any"));
    }
    let last = path.segments.last()?;
    if path.is_macro && PRINTS.contains(&last.as_str()) {
        return Some((Print, "a library returns errors and never prints"));
    }
    let call = CALLS.iter().find(|(_, calls, _)| calls.iter().any(|call| path.contains(call)));
    call.map(|(world, _, instead)| (*world, *instead))
}

/// Test code may do everything but `unsafe`, which only the table grants.
fn may(file: &SourceFile, line: usize, world: World) -> bool {
    let granted = SHELLS.iter().any(|(shell, worlds, _)| {
        let inside = shell.ends_with('/') && file.path.starts_with(shell);
        (inside || file.path == *shell) && worlds.contains(&world)
    });
    granted || (world != Unsafe && file.is_test(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&SourceFile::parse(path, text)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn every_call_to_the_world_fails_in_the_core() {
        for (_, calls, _) in CALLS {
            for call in calls {
                let text = format!("fn f() {{\n    let x = std::{call}(y);\n}}\n");
                let text = text.replace("std::std", "std");
                let found = found("src/exchange/lane.rs", &text);
                assert_eq!(found.len(), 1, "{call}: {found:?}");
                assert!(found[0].starts_with("src/exchange/lane.rs:2: "), "{found:?}");
            }
        }
    }

    #[test]
    fn every_print_macro_and_do_send_fail_in_the_core() {
        for print in PRINTS {
            let text = format!("fn f() {{ {print}!(\"{{x}}\"); }}");
            assert_eq!(found("src/runtime/turn.rs", &text).len(), 1, "{print}");
        }
        assert_eq!(found("src/runtime/system.rs", "fn f() { a.do_send(Stop) }").len(), 1);
        assert_eq!(found("src/runtime/system.rs", "fn f() { a.try_send(Stop) }"), [""; 0]);
    }

    #[test]
    fn imports_and_groups_count_too() {
        for text in [
            "use std::fs::File;",
            "use std::{fs::File, io};",
            "use std::{io, fs};",
            "use std::thread::{self, spawn};",
            "fn f() { x.unwrap_or_else(Instant::now); }",
            "fn f() { vec![SystemTime::now()]; }",
        ] {
            assert_eq!(found("src/dataflow/chain.rs", text).len(), 1, "{text}");
        }
        assert_eq!(
            found("src/dataflow/chain.rs", "use std::{fmt, thread, time::Instant};"),
            [""; 0]
        );
    }

    #[test]
    fn shells_may_what_the_table_grants_and_no_more() {
        let clock = "fn f() { Instant::now() }";
        assert_eq!(found("src/time/clock.rs", clock), [""; 0]);
        assert_eq!(found("src/time/mod.rs", clock).len(), 1);
        assert_eq!(found("src/connector/csv.rs", "use std::fs::File;"), [""; 0]);
        assert_eq!(found("src/connector/csv.rs", clock).len(), 1);
        assert_eq!(found("src/cli/bench.rs", clock), [""; 0]);
        for (_, _, reason) in SHELLS {
            assert!(reason.len() > 8, "a shell without a reason: {reason:?}");
        }
    }

    #[test]
    fn unit_tests_may_spawn_but_hold_no_unsafe() {
        let test = |body: &str| format!("#[cfg(test)]\nmod tests {{ fn f() {{ {body} }} }}");
        assert_eq!(found("src/exchange/lane.rs", &test("std::thread::spawn(g);")), [""; 0]);
        assert_eq!(found("src/exchange/lane.rs", &test("unsafe { g() }")).len(), 1);
        assert_eq!(found("src/state/table.rs", "unsafe impl Send for X {}").len(), 1);
        assert_eq!(found("benches/state_layout.rs", "fn f() { unsafe { g() } }"), [""; 0]);
    }
}
