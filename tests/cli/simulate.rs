//! `simulate` through the binary: its line, the file it is kept in, wrong ranges.

use serde_json::Value;

use crate::{millstream, refusal, run, text};

#[test]
fn simulate_prints_its_figures_and_keeps_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept.jsonl");
    for seeds in ["7..27", "27..30"] {
        let mut command = millstream(&["simulate", "--seeds", seeds, "--keep"]);
        let output = command.arg(&kept).output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
    }
    let lines = std::fs::read_to_string(&kept).expect("it was kept");
    let kept: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(kept.len(), 2);
    assert_eq!((&kept[0]["seeds"], &kept[0]["simulations"]), (&"7..27".into(), &20.into()));
    assert_eq!((&kept[1]["seeds"], &kept[1]["simulations"]), (&"27..30".into(), &3.into()));
    for line in &kept {
        assert_eq!(line["wrong"], 0);
        assert!(line["seconds"].as_f64() > Some(0.0), "{line}");
        assert!(line["cores_allowed"].as_u64() >= Some(1), "{line}");
        assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn simulate_says_number_and_range() {
    let output = run(&["simulate", "--seeds", "3..8", "--keep", "off"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line = text(&output.stdout);
    assert!(line.starts_with("5 simulations, seeds 3..8: 0 wrong ("), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn outside_the_project_nothing_is_kept_unasked() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = millstream(&["simulate", "--seeds", "0..1"]);
    let output = command.current_dir(folder.path()).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(folder.path().read_dir().expect("it is there").count(), 0);
}

#[test]
fn wrong_seeds_and_flags_are_refused() {
    for (seeds, what) in [
        ("5..5", "empty range"),
        ("9..3", "empty range"),
        ("x", "not a range"),
        ("", "not a range"),
        ("-1..3", "not a range"),
        ("0..=9", "not a range"),
        ("0..18446744073709551616", "not a range"),
    ] {
        let stderr = refusal(&run(&["simulate", &format!("--seeds={seeds}")]), 64);
        let shown = if seeds.is_empty() { "\"\"" } else { seeds };
        assert_eq!(
            stderr,
            format!("error: {what} at --seeds: {shown}; allowed A..B with A < B, without B\n")
        );
    }
    let stderr = refusal(&run(&["simulate", "--seed", "3"]), 64);
    assert!(stderr.starts_with("error: unknown flag at millstream simulate: --seed; "), "{stderr}");
    let stderr = refusal(&run(&["simulate", "--partitions", "3"]), 64);
    assert!(stderr.starts_with("error: unknown flag at millstream simulate: "), "{stderr}");
    let stderr = refusal(&run(&["bench", "chain", "--seeds", "1..3"]), 64);
    assert_eq!(
        stderr,
        "error: unknown flag at millstream bench: --seeds; allowed with millstream simulate\n"
    );
    let stderr = refusal(&run(&["simulate", "more"]), 64);
    assert!(stderr.contains("more"), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_had_is_said_before_the_work() {
    let output = run(&["simulate", "--seeds", "0..1000000", "--keep", "/no/such/folder/kept"]);
    let stderr = refusal(&output, 73);
    assert!(stderr.starts_with("error: cannot open file at /no/such/folder/kept"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}
