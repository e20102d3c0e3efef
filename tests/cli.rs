//! The binary's arguments: each row of bad input has its message and its exit code.
#![cfg(feature = "cli")]
#![allow(clippy::disallowed_methods)] // Tests make the files that the binary is given.

#[cfg(unix)]
#[path = "cli/bench.rs"]
mod bench;
#[cfg(unix)]
#[path = "cli/doctor.rs"]
mod doctor;
#[cfg(unix)]
#[path = "cli/event_time.rs"]
mod event_time;
#[path = "hosts/mod.rs"]
mod hosts;
#[cfg(unix)]
#[path = "cli/hot_key.rs"]
mod hot_key;
#[cfg(unix)]
#[path = "cli/inspect.rs"]
mod inspect;
#[path = "cli/knobs.rs"]
mod knobs;
#[path = "cli/manual.rs"]
mod manual;
#[cfg(all(unix, feature = "report"))]
#[path = "cli/report.rs"]
mod report;
#[path = "cli/simulate.rs"]
mod simulate;
#[path = "cli/supervisor.rs"]
mod supervisor;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

thread_local! {
    /// Where jobs of one test meet, and no others: those would have pinned the cores.
    static RUNTIME: tempfile::TempDir = tempfile::tempdir().expect("a folder");
}

/// The binary with nothing of our environment, so that a developer's variables change nothing.
fn millstream(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    RUNTIME.with(|runtime| command.env("XDG_RUNTIME_DIR", runtime.path()));
    command
}

fn run(arguments: &[&str]) -> Output {
    millstream(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("output is UTF-8")
}

/// What stderr says after it is certain that the exit code is `code` and stdout is empty.
fn refusal(output: &Output, code: i32) -> String {
    let stderr = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(text(&output.stdout), "");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for line in stderr.lines() {
        assert!(line.starts_with("error: ") || line.starts_with("warning: "), "{line}");
    }
    stderr
}

fn with_config(content: &[u8]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(content)).expect("a file");
    with_config_at(&path)
}

fn with_config_at(path: &Path) -> Output {
    millstream(&["bench", "chain", "--config"]).arg(path).output().expect("the binary starts")
}

#[test]
fn row_1_unknown_flag_has_a_suggestion() {
    let stderr = refusal(&run(&["bench", "keyed-count", "--partitons", "4"]), 64);
    assert_eq!(
        stderr,
        "error: unknown flag at millstream bench: --partitons; did you mean --partitions\n"
    );
}

#[test]
fn row_2_partitions_out_of_range() {
    for (value, what) in [
        ("0", "out of range"),
        ("-1", "out of range"),
        ("1e3", "not a whole number"),
        ("99999999999", "out of range"),
    ] {
        let stderr = refusal(&run(&["bench", "chain", "--partitions", value]), 64);
        assert_eq!(stderr, format!("error: {what} at --partitions: {value}; allowed 1..=1024\n"));
    }
}

#[test]
fn row_4_wrong_cores_name_the_allowed_set() {
    for (list, what) in [
        ("5000", "core not available"),
        ("65536", "core number out of range"),
        ("3-1", "reversed range"),
        ("0,0", "core named twice"),
    ] {
        for command in ["bench chain", "doctor"] {
            let mut arguments: Vec<&str> = command.split(' ').collect();
            arguments.extend(["--cores", list]);
            let stderr = refusal(&run(&arguments), 64);
            let start = format!("error: {what} at --cores: {list}; allowed a list such as 0-3,8");
            assert!(stderr.starts_with(&start), "{stderr}");
            assert!(stderr.contains("; this process may use "), "{stderr}");
        }
    }
}

#[test]
fn row_5_lane_capacity_of_0() {
    let stderr = refusal(&run(&["bench", "chain", "--lane-capacity", "0"]), 64);
    assert!(stderr.starts_with("error: out of range at --lane-capacity: 0; allowed 1..="));
}

#[test]
fn row_7_batch_size_and_durations() {
    let stderr = refusal(&run(&["bench", "chain", "--batch-size", "0"]), 64);
    assert_eq!(stderr, "error: out of range at --batch-size: 0; allowed 1..=65536, or auto\n");
    for (value, what) in [
        ("-5s", "out of range"),
        ("5", "number without a unit"),
        ("5y", "unknown unit"),
        ("1h", "out of range"),
    ] {
        let stderr = refusal(&run(&["bench", "chain", "--linger", value]), 64);
        assert_eq!(
            stderr,
            format!(
                "error: {what} at --linger: {value}; allowed 0..=10s, a whole number with a unit \
                 of ns, us, ms, s, m, h\n"
            )
        );
    }
    let stderr = refusal(&run(&["bench", "chain", "--duration", "0s"]), 64);
    assert!(stderr.starts_with("error: out of range at --duration: 0s; allowed 1ms..=168h, "));
}

#[test]
fn row_9_missing_file_and_directory() {
    let stderr = refusal(&with_config_at(Path::new("/nowhere/a.toml")), 66);
    assert!(stderr.starts_with("error: no such file at /nowhere/a.toml: "), "{stderr}");
    let folder = tempfile::tempdir().expect("a folder");
    let stderr = refusal(&with_config_at(folder.path()), 66);
    assert!(stderr.contains(": a directory; allowed a TOML file"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn row_9_fifo_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    let stderr = refusal(&with_config_at(&path), 66);
    assert!(stderr.contains(": no regular file; allowed a TOML file"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn row_9_unreadable_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    std::fs::write(&path, "pin = 'on'\n").expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("our file");
    if std::fs::File::open(&path).is_ok() {
        // The superuser reads everything; the unit test of the exit code stands for this one.
        return;
    }
    let stderr = refusal(&with_config_at(&path), 77);
    assert!(stderr.starts_with("error: file not readable at "), "{stderr}");
}

#[test]
fn row_9_long_binary_and_foreign_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    std::fs::File::create(&path).and_then(|file| file.set_len(1_000_000_000)).expect("sparse");
    let stderr = refusal(&with_config_at(&path), 65);
    assert!(stderr.ends_with(": 1000000000 bytes; allowed 1048576 bytes\n"), "{stderr}");

    let stderr = refusal(&with_config(b"# \xe4\npin = 'on'\n"), 65);
    assert!(stderr.contains(": byte 2 is 0xe4; allowed UTF-8 text"), "{stderr}");
    let stderr = refusal(&with_config(b"\x7fELF\x02\0"), 65);
    assert!(stderr.contains("error: binary file at "), "{stderr}");
    assert!(stderr.contains(": byte 5 is 0x00; "), "{stderr}");
}

#[test]
fn row_9_byte_order_mark_is_accepted() {
    let stderr = refusal(&with_config(b"\xef\xbb\xbfpartitions = 0\n"), 78);
    assert!(stderr.contains("a.toml:1:14 (partitions): 0; allowed 1..=1024"), "{stderr}");
}

#[test]
fn row_10_toml_problems_name_line_column_and_key() {
    for (content, place) in [
        ("idle = 'park'\npartitions = = 2\n", "a.toml:2:14 (partitions): "),
        ("pin = 'on'\npin = 'off'\n", "error: duplicate key at "),
        ("pin = 'on'\npin = 'off'\n", "a.toml:2:1 (pin): pin; "),
        ("\npartitions = 'four'\n", "a.toml:2:14 (partitions): 'four'; allowed an integer: 1..="),
    ] {
        let stderr = refusal(&with_config(content.as_bytes()), 78);
        assert!(stderr.contains(place), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn row_11_unknown_key_has_a_suggestion() {
    let stderr = refusal(&with_config(b"lane-capacty = 8\n"), 78);
    assert!(stderr.starts_with("error: unknown key at "), "{stderr}");
    assert!(stderr.ends_with("a.toml:1:1: lane-capacty; did you mean lane-capacity\n"));
}

#[test]
fn all_problems_are_told_at_once_in_order_of_precedence() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    std::fs::write(&path, "lane-capacity = 0\nlinger = '10ms'\n").expect("a file");
    let output = millstream(&["bench", "chain", "--partitions", "0", "--config"])
        .arg(&path)
        .env("MILLSTREAM_LINGER", "5")
        .output()
        .expect("the binary starts");
    let stderr = refusal(&output, 64);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    assert!(lines[0].contains(" at --partitions: 0; "));
    assert!(lines[1].contains(" at MILLSTREAM_LINGER: 5; "));
    assert!(lines[2].contains("a.toml:1:17 (lane-capacity): 0; "));
}

#[test]
fn value_of_control_characters_is_escaped_and_cut() {
    let long = format!("\u{1b}[31m\n{}", "x".repeat(1_000));
    let stderr = refusal(&run(&["bench", "chain", "--pin", &long]), 64);
    assert_eq!(stderr.lines().count(), 1);
    assert!(stderr.starts_with("error: unknown value at --pin: \\u{1b}[31m\\nxxx"), "{stderr}");
    let value = stderr.split(": ").nth(2).and_then(|rest| rest.split(';').next());
    assert_eq!(value.map(|value| value.chars().count()), Some(80), "{stderr}");
}

#[test]
fn row_54_odd_environment_is_ignored_with_one_warning() {
    let output = millstream(&["--version"])
        .env("RUST_LOG", "garbage")
        .env("LC_ALL", "\u{1b}")
        .env("TZ", "Mars\tPhobos")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n"));
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("warning: odd value at environment: "), "{stderr}");
    assert!(stderr.contains("RUST_LOG=garbage") && stderr.contains("TZ=Mars\\tPhobos"));
}

#[test]
fn row_40_reader_that_is_gone_ends_it_in_silence() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output =
        millstream(&["bench", "--help"]).stdout(writer).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(74));
    assert_eq!(text(&output.stderr), "");
}

#[cfg(target_os = "linux")]
#[test]
fn full_stdout_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = millstream(&["--version"]).stdout(full).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(74));
    assert!(text(&output.stderr).starts_with("error: write failed at stdout: "));
}

#[test]
fn help_list_and_knobs_are_printed() {
    for (arguments, part) in [
        (&["--help"][..], "usage: millstream COMMAND"),
        (&["bench", "--help"], "--lane-capacity"),
        (&["doctor", "--help"], "usage: millstream doctor"),
        (&["bench", "--list"], "keyed-count"),
        (&["inspect", "--help"], "usage: millstream inspect TOPIC"),
        (&["knobs", "linger"], "MILLSTREAM_LINGER"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains(part), "{}", text(&output.stdout));
        assert_eq!(text(&output.stderr), "");
    }
}
