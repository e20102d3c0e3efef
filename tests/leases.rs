//! Leases of cores between real processes, and between the jobs of one.
#![cfg(all(feature = "cli", unix))]
#![allow(clippy::disallowed_methods)] // Tests start programs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use millstream::config::{CoreList, Pin};
use millstream::connector::{blackhole, iterator};
use millstream::prelude::*;
use millstream::runtime::host;
use serde_json::Value;
use tempfile::TempDir;

fn runtime() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn millstream(runtime: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(line.split(' ')).env_clear().env("XDG_RUNTIME_DIR", runtime);
    command.stdin(Stdio::null());
    command
}

fn run(runtime: &Path, line: &str) -> Output {
    millstream(runtime, line).output().expect("the binary starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The report of a short run with one partition, and what it warned of.
fn report(runtime: &Path, flags: &str) -> (Value, String) {
    let line = format!("bench keyed-count --records 1000 --keys 10 --format json {flags}");
    let output = run(runtime, &line);
    assert_eq!(output.status.code(), Some(0), "{flags}: {}", stderr(&output));
    (serde_json::from_slice(&output.stdout).expect("JSON"), stderr(&output))
}

/// A job of another process, with one partition pinned; killed without a word when dropped.
struct Holder {
    child: Child,
    _stderr: BufReader<ChildStderr>,
}

impl Holder {
    fn start(runtime: &Path, flags: &str) -> Holder {
        let line = format!(
            "bench keyed-count --duration 1h --rate 1000 --keys 10 --partitions 1 -v {flags}"
        );
        let mut command = millstream(runtime, &line);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        // Said when the job runs.
        while !line.starts_with("inspect at unix:") {
            line.clear();
            assert!(stderr.read_line(&mut line).expect("UTF-8") > 0, "it ended");
        }
        Holder { child, _stderr: stderr }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// What is leased, as another process sees it: cores and holders.
fn leased(runtime: &Path) -> Vec<(u64, u64)> {
    let output = run(runtime, "doctor --format json --probe 0s");
    let diagnosis: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = diagnosis["host"]["machine"]["leased"].as_array().expect("a list").clone();
    all.iter().map(|one| (one["core"].as_u64(), one["pid"].as_u64())).map(both).collect()
}

fn both((core, pid): (Option<u64>, Option<u64>)) -> (u64, u64) {
    (core.expect("a core"), pid.expect("a process"))
}

/// The cores of this machine, if there are two at least that a thread may choose.
fn several_cores() -> Option<Vec<usize>> {
    let machine = host::machine();
    let several = machine.allowed.len() > 1 && machine.may_pin && machine.quota_cores.is_none();
    several.then_some(machine.allowed)
}

#[test]
fn another_process_pins_another_core_and_a_killed_one_frees_its_own() {
    let Some(allowed) = several_cores() else { return };
    let runtime = runtime();
    let path = runtime.path();
    assert_eq!(leased(path), []);
    let holder = Holder::start(path, "--pin on");
    let held = leased(path);
    assert_eq!(held.len(), 1);
    let (core, pid) = held[0];
    assert_eq!(pid, u64::from(holder.child.id()));
    for pin in ["auto", "on"] {
        let (report, warned) = report(path, &format!("--partitions 1 --pin {pin}"));
        assert_eq!((&report["pinned"], warned.as_str()), (&true.into(), ""));
        assert_ne!(report["cores"][0].as_u64(), Some(core), "{report}");
    }

    let whole = format!("--partitions {}", allowed.len());
    let (unpinned, warned) = report(path, &whole);
    assert_eq!(unpinned["pinned"], false);
    let start = format!(
        "warning: {} partitions and {} free cores, as process {pid} has pinned ",
        allowed.len(),
        allowed.len() - 1
    );
    assert!(warned.starts_with(&start), "{warned}");
    let (unpinned, warned) = report(path, &format!("--cores {core}"));
    assert_eq!(unpinned["pinned"], false, "{warned}");
    for flags in [whole.clone(), format!("--cores {core}")] {
        let refused = run(path, &format!("bench keyed-count --records 10 --pin on {flags}"));
        assert_eq!(refused.status.code(), Some(77), "{flags}");
        let line =
            format!("error: cannot pin partitions at --pin: on; process {pid} has pinned {core}\n");
        assert_eq!(stderr(&refused), line, "{flags}");
    }
    let (off, warned) = report(path, &format!("{whole} --pin off"));
    assert_eq!((&off["pinned"], warned.as_str()), (&false.into(), ""));

    drop(holder);
    assert_eq!(leased(path), []);
    let (report, _) = report(path, &format!("--cores {core} --pin on"));
    assert_eq!(report["cores"][0].as_u64(), Some(core));
}

#[test]
fn without_a_folder_for_leases_it_pins_and_says_so() {
    if several_cores().is_none() {
        return;
    }
    let runtime = runtime();
    // A link to a folder that somebody else could have made.
    let target = runtime.path().join("target");
    std::fs::create_dir(&target).expect("a folder");
    std::os::unix::fs::symlink(&target, runtime.path().join("millstream")).expect("a link");
    let (report, warned) = report(runtime.path(), "--partitions 1 --pin on");
    assert_eq!(report["pinned"], true);
    let warning = "warning: other jobs may pin the same cores, as there is no lease: unsafe folder";
    assert!(warned.contains(warning), "{warned}");
    assert_eq!(target.read_dir().expect("a folder").count(), 0, "nothing went through the link");
}

#[test]
fn jobs_that_are_not_pinned_lease_nothing() {
    let runtime = runtime();
    let _holder = Holder::start(runtime.path(), "--pin off");
    assert_eq!(leased(runtime.path()), []);
}

/// Set where this test is its own child, with a folder of its own for leases.
const CHILD: &str = "MILLSTREAM_TEST_LEASES";

fn engine(partitions: usize, pin: Pin) -> Engine {
    let config = Config::builder().partitions(partitions).pin(pin).build().expect("in bounds");
    Engine::new(config).expect("a plan")
}

fn endless(engine: &Engine) -> Job {
    let pipeline = Pipeline::new("endless");
    pipeline.source(iterator(0u64..)).rebalance().sink(blackhole());
    engine.start(pipeline).expect("it starts")
}

fn core(job: &Job) -> Option<usize> {
    job.report().partitions[0].core
}

#[test]
fn jobs_of_one_process_pin_a_core_once_unless_it_is_named() {
    if several_cores().is_none() {
        return;
    }
    if std::env::var_os(CHILD).is_some() {
        return in_one_process();
    }
    let runtime = runtime();
    let name = "jobs_of_one_process_pin_a_core_once_unless_it_is_named";
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .env("XDG_RUNTIME_DIR", runtime.path())
        .output()
        .expect("this test starts");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(runtime.path().join("millstream").is_dir(), "the child leased nothing");
}

fn in_one_process() {
    let allowed = several_cores().expect("checked");
    let one = engine(1, Pin::On);
    let (first, second) = (endless(&one), endless(&one));
    let [a, b] = [&first, &second].map(|job| core(job).expect("pinned"));
    assert_ne!(a, b, "two jobs of one engine");

    let crowded = endless(&engine(allowed.len(), Pin::Auto));
    let seen = crowded.stop().expect("it ran");
    assert!(!seen.pinned);
    assert!(seen.warnings[0].contains("another job of this process has pinned"), "{seen:?}");

    let named =
        Config::builder().cores(CoreList::from_iter([a])).pin(Pin::On).build().expect("in bounds");
    let named = endless(&Engine::new(named).expect("a plan"));
    assert_eq!(core(&named), Some(a));
    let warnings = named.stop().expect("it ran").warnings;
    assert!(warnings[0].starts_with("another job of this process has pinned"), "{warnings:?}");

    drop(first);
    drop(second);
    let growing = endless(&one);
    growing.rescale(allowed.len()).expect("all cores are free");
    assert!(growing.report().pinned, "{:?}", growing.report().warnings);
    assert!(
        Engine::new(Config::builder().partitions(1).pin(Pin::On).build().expect("valid")).is_err()
    );
    growing.rescale(1).expect("one is left");
    let beside = endless(&one);
    assert!(core(&beside).is_some() && core(&beside) != core(&growing), "a rescale gives back");
}
