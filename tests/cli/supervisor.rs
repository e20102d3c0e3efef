//! `whatif` and `replay-decisions`: what they print, and what they refuse.

use std::io::Write;

use millstream::config::Rebalance;
use millstream::supervisor::decision_log::Entry;
use millstream::supervisor::{
    Adviser, Balanced, CORE, DomainLoad, LoadView, Occasion, PartitionLoad,
};
use tempfile::NamedTempFile;

use crate::{refusal, run, text};

fn file(content: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("UTF-8")
}

/// A log of one line: a group on partition 0 that takes three quarters of all.
fn decision_log() -> String {
    let mut adviser = Adviser::new(Box::new(Balanced::new(Rebalance::Groups)));
    let mut demands = vec![CORE / 40_960; 4_096];
    demands[..8].fill(CORE / 10);
    let domain = DomainLoad {
        name: "count".into(),
        owners: (0..4_096).map(|group| group / 2_048).collect(),
        state_bytes: vec![0; 4_096],
        demands,
        ..DomainLoad::default()
    };
    let view = |tick: u64| LoadView {
        at: tick * 100_000_000,
        occasion: Occasion::Tick,
        partitions: vec![PartitionLoad::default(); 2],
        domains: vec![domain.clone()],
        open_moves: Vec::new(),
    };
    let entries = (0..3).map(|tick| Entry::of(&mut adviser, view(tick)));
    let decided = entries.filter(|entry| !entry.decisions.is_empty());
    let log: String = decided.map(|entry| entry.line() + "\n").collect();
    assert_eq!(log.lines().count(), 1, "{log}");
    log
}

#[test]
fn a_log_is_replayed_to_the_same_decisions() {
    let log = file(decision_log().repeat(3).as_bytes());
    let output = run(&["replay-decisions", path(&log)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line = text(&output.stdout);
    assert!(line.starts_with("replayed 3 views: ") && line.contains(", 0 different, "), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn a_log_that_says_otherwise_is_told_with_its_line() {
    let other = decision_log().replacen("\"gain_ns\":", "\"gain_ns\":9", 1);
    let log = file((decision_log() + &other).as_bytes());
    let output = run(&["replay-decisions", path(&log)]);
    assert_eq!(output.status.code(), Some(70));
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("error: other decisions at ") && stderr.contains("line 2: 1 of 2"));
}

#[test]
fn what_is_no_log_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("UTF-8");
    let log = decision_log();
    for (content, wanted) in [
        (&b""[..], "empty decision log"),
        (b"{\"view\":\n", "cut line"),
        (b"\x00\xff", "no line of a decision log"),
        (&log.as_bytes()[..1_000], "cut line"),
    ] {
        let file = file(content);
        let stderr = refusal(&run(&["replay-decisions", path(&file)]), 65);
        assert!(stderr.starts_with(&format!("error: {wanted}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let stderr = refusal(&run(&["replay-decisions", "no-such-file"]), 66);
    assert!(stderr.starts_with("error: no such file at command line: no-such-file"), "{stderr}");
    assert!(refusal(&run(&["replay-decisions", folder]), 66).contains("not a regular file"));
    assert!(refusal(&run(&["replay-decisions"]), 64).contains("missing file"));
    assert!(refusal(&run(&["replay-decisions", "a", "b"]), 64).contains("unexpected argument"));
}

#[test]
fn a_built_in_load_is_simulated_with_all_schemes() {
    let arguments = ["whatif", "--load", "zipf:1.4", "--cores", "8", "--duration", "2s"];
    let output = run(&[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = json["whatif"].as_array().expect("rows");
    let schemes: Vec<_> = rows.iter().filter_map(|row| row["scheme"].as_str()).collect();
    let all = ["keys", "combine", "static hash", "partial key grouping", "d-choices"];
    assert_eq!(schemes, all);
    assert!(rows.iter().all(|row| row["fullest"].as_f64().is_some_and(|ratio| ratio >= 1.0)));
    assert_eq!(json["bars"], serde_json::json!([]));
}

#[test]
fn a_simulation_that_is_long_enough_says_which_bars_it_holds() {
    let output = run(&["whatif", "--load", "zipf:1.4", "--cores", "4", "--duration", "20s"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = text(&output.stdout);
    let held: Vec<_> = page.lines().filter(|line| line.starts_with("holds   H1")).collect();
    // A debug build is not for measuring, so it says nothing about H14.
    assert_eq!(held.len(), if cfg!(debug_assertions) { 4 } else { 5 }, "{page}");
    assert!(held[0].contains(" of 1.1 "), "{page}");
}

#[test]
fn a_trace_is_simulated_and_a_wrong_one_refused() {
    let mut content = "millstream trace 1\n".to_owned();
    for record in 0..3_000u64 {
        let hash = (record % 100).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        content += &format!("1000000 {hash:016x}\n");
    }
    let trace = file(content.as_bytes());
    let output = run(&["whatif", "--trace", path(&trace), "--cores", "4"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 6);
    let wrong = file(b"millstream trace 1\n12 xyz\n");
    let stderr = refusal(&run(&["whatif", "--trace", path(&wrong)]), 65);
    assert!(stderr.contains("line 2: 12 xyz; allowed nanoseconds"), "{stderr}");
    assert!(refusal(&run(&["whatif", "--trace", "nowhere"]), 66).contains("no such file"));
}

#[test]
fn wrong_flags_of_whatif_are_told() {
    for (arguments, wanted) in [
        (["--cores", "1"], "allowed 2..=1024"),
        (["--cores", "0-3"], "allowed 2..=1024"),
        (["--load", "zipf:99"], "allowed zipf:S with S 0..=10"),
        (["--load", "flood"], "allowed zipf:S with S 0..=10"),
        (["--partitions", "4"], "unknown flag"),
        (["--records", "4"], "allowed with millstream bench"),
    ] {
        let stderr = refusal(&run(&[&["whatif"][..], &arguments].concat()), 64);
        assert!(stderr.contains(wanted), "{stderr}");
    }
    let both = ["whatif", "--load", "drift", "--trace", "x"];
    assert!(refusal(&run(&both), 64).contains("conflicting flags"));
}

/// Two partitions, one key of nine records in ten, work on each: at once there is something to
/// decide, and it is decided whether or not the machine is busy with something else too.
const SKEWED: [&str; 16] = [
    "bench",
    "hot-key",
    "--share",
    "0.9",
    "--hot-keys",
    "1",
    "--partitions",
    "2",
    "--pre-aggregate",
    "off",
    "--work-rounds",
    "2000",
    "--warmup",
    "0",
    "--format",
    "json",
];

#[test]
fn decisions_of_a_run_are_logged_and_can_be_made_again() {
    let log = file(b"");
    let mut flags = SKEWED.to_vec();
    flags.extend(["--duration", "2s", "--rebalance", "combine", "--decisions", path(&log)]);
    let output = run(&flags);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["moves"]["combined_keys"], 1, "{}", report["moves"]);
    let replayed = run(&["replay-decisions", path(&log)]);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed.stderr));
    assert!(text(&replayed.stdout).contains(", 0 different, "), "{}", text(&replayed.stdout));
}

#[test]
fn trace_of_a_run_has_every_record_and_whatif_reads_it() {
    let trace = file(b"");
    let mut flags = SKEWED.to_vec();
    // A key that is combined on the way comes in fewer pieces than records.
    flags.extend(["--records", "20000", "--rebalance", "off", "--record-trace", path(&trace)]);
    let output = run(&flags);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let recorded = std::fs::read_to_string(trace.path()).expect("it is text");
    let mut hashes: Vec<&str> =
        recorded.lines().skip(1).filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!((recorded.lines().next(), hashes.len()), (Some("millstream trace 1"), 20_000));
    hashes.sort_unstable();
    let hottest = hashes.chunk_by(|one, next| one == next).map(<[&str]>::len).max();
    assert!(hottest.is_some_and(|count| (17_500..18_500).contains(&count)), "{hottest:?}");
    let simulated = run(&["whatif", "--trace", path(&trace), "--cores", "4"]);
    assert!(matches!(simulated.status.code(), Some(0 | 70)), "{}", text(&simulated.stderr));
    assert!(text(&simulated.stdout).contains(" d-choices "), "{}", text(&simulated.stdout));
}

#[test]
fn logs_that_cannot_be_written_are_told_at_the_end() {
    let mut flags = SKEWED.to_vec();
    flags.extend(["--records", "20000", "--record-trace", "/dev/full"]);
    let told = refusal(&run(&flags), 74);
    assert!(told.starts_with("error: write failed at /dev/full"), "{told}");
    for flag in ["--decisions", "--record-trace"] {
        let mut flags = SKEWED.to_vec();
        flags.extend([flag, "/no/such/folder/file"]);
        let told = refusal(&run(&flags), 73);
        assert!(told.starts_with("error: cannot create file at /no/such/folder/file"), "{told}");
    }
}
