//! The flights example: the rows that Python computed, for any partition count; bad rows and
//! arguments.

// Tests make files and start the example; in them an `unwrap` is a failure like any other.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "../examples/flights/pipeline.rs"]
mod pipeline;
#[path = "flights/windows.rs"]
mod windows;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use millstream::connector::{DeadLetter, csv_bytes, csv_file};
use millstream::dataflow::SourceConnector;
use millstream::metrics::Report;
use millstream::prelude::*;
use serde_json::{Value, json};

use pipeline::{BadRows, Flight};

const PACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/flights.csv.gz");
const TWENTY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/flights_20.csv");

/// What a run makes of `rows`: the airports as JSON, the first bad rows, the report.
fn run<S>(rows: S, partitions: usize) -> (Value, Vec<DeadLetter>, Report)
where
    S: SourceConnector<Item = std::result::Result<Flight, DeadLetter>>,
{
    let (job, bad) = (Pipeline::new("flights"), BadRows::default());
    let airports = pipeline::airports(&job, rows, &bad);
    let config = Config::builder().partitions(partitions).build().unwrap();
    let report = Engine::new(config).unwrap().run(job).unwrap();
    let mut airports = airports.take();
    pipeline::sort(&mut airports);
    (serde_json::to_value(&airports).unwrap(), bad.take(), report)
}

fn flights() -> Vec<u8> {
    let mut rows = Vec::new();
    let packed = std::fs::File::open(PACKED).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut rows).unwrap();
    rows
}

fn expected(fixture: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = std::fs::read_to_string(folder.join(fixture)).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["airports"].take()
}

/// Equal to the bit, but for floats: those to 1e-9 of their size.
fn assert_same(seen: &Value, expected: &Value) {
    let (seen, expected) = (seen.as_array().unwrap(), expected.as_array().unwrap());
    assert_eq!(seen.len(), expected.len());
    for (seen, expected) in seen.iter().zip(expected) {
        let (one, other) = (seen.as_object().unwrap(), expected.as_object().unwrap());
        assert!(one.keys().eq(other.keys()), "{seen} is not {expected}");
        for (name, value) in one {
            let same = match (value, &other[name]) {
                (Value::Number(a), Value::Number(b)) if a.is_f64() => {
                    let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
                    (a - b).abs() <= 1e-9 * b.abs()
                }
                (a, b) => a == b,
            };
            assert!(same, "{name} of {seen} is not that of {expected}");
        }
    }
}

#[test]
fn the_given_flights_come_to_the_expected_rows_for_any_partition_count() {
    let (rows, expected) = (flights(), expected("flights_expected.json"));
    let mut first = None;
    for partitions in [1, 2, 3, 8] {
        // Splits of 64 KiB, so that every partition reads some.
        let source = csv_bytes(rows.clone()).split_bytes(1 << 16).dead_letters();
        let (airports, bad, report) = run(source, partitions);
        assert_same(&airports, &expected);
        assert_eq!((bad.len(), report.records, report.dead_letter), (0, 100_000, 0));
        assert_eq!(report.partitions.len(), partitions);
        assert!(report.partitions.iter().all(|one| one.records > 0), "an idle partition");
        assert_eq!(*first.get_or_insert(airports.clone()), airports, "{partitions} partitions");
    }
}

#[test]
fn an_empty_delay_is_unknown_and_what_is_undefined_is_null() {
    let expected = expected("flights_20_expected.json");
    for partitions in [1, 2, 3] {
        for split_bytes in [40, 1 << 20] {
            let rows = csv_file(TWENTY).split_bytes(split_bytes).dead_letters();
            let (airports, bad, _) = run(rows, partitions);
            assert_same(&airports, &expected);
            assert_eq!(bad, []);
        }
    }
}

#[test]
fn the_worst_of_two_equal_destinations_is_the_first_by_name() {
    let mut rows = String::from("destination,origin,delay\n");
    for minute in 0..10 {
        // Means of 4.5 both, over 10 and over 20 known delays; one destination below ten.
        rows += &format!("BOS,AAA,{minute}\nABE,AAA,{minute}\nABE,AAA,{}\n", 9 - minute);
        rows += if minute < 9 { "ZZZ,AAA,900\n" } else { "ZZZ,AAA,\n" };
    }
    for partitions in [1, 2, 3] {
        let (airports, _, _) = run(csv_bytes(rows.as_bytes()).dead_letters(), partitions);
        assert_eq!(airports[0]["worst_destination"], "ABE");
        assert_eq!(airports[0]["worst_mean_delay"], 4.5);
        assert_eq!(
            (&airports[0]["flights"], &airports[0]["delayed_known"]),
            (&json!(40), &json!(39))
        );
    }
}

#[test]
fn bad_rows_are_counted_the_first_are_kept_and_the_others_go_on() {
    let mut rows = String::from("date,delay,distance,origin,destination\n");
    for row in ["d,1,1,ATL,SAV", "d,soon,1,ATL,SAV", "d,1,1,ATL", "d,1e9,1,ATL,SAV"] {
        rows += &format!("{row}\n");
    }
    rows += "d,1,1,,SAV\nd,99999999999,1,ATL,SAV\nd,1,1,ATLANTA,SAV\n\nd,3,1,ATL,SAV";
    for partitions in [1, 2, 3] {
        let source = csv_bytes(rows.as_bytes()).split_bytes(20).dead_letters();
        let (airports, bad, report) = run(source, partitions);
        assert_eq!((&airports[0]["flights"], &airports[0]["mean_delay"]), (&json!(2), &json!(2.0)));
        assert_eq!(report.dead_letter, 7);
        assert_eq!(bad.iter().map(|letter| letter.line).collect::<Vec<_>>(), [3, 4, 5]);
        let reasons: Vec<&str> = bad.iter().map(|letter| letter.reason.as_str()).collect();
        assert_eq!(reasons, ["bad_value", "column_count", "bad_value"]);
    }
}

/// The example's program, built as this test was.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--example", "flights", "--target-dir"]);
        cargo.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.file_name() == Some(OsStr::new("release")) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the example does not build");
        profile.join("examples/flights")
    })
}

fn example(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_program_prints_rows_and_report_as_text_and_json() {
    let output = example(&["--partitions", "2", "--format", "json"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_same(&printed["airports"], &expected("flights_expected.json"));
    assert_eq!(printed["report"]["records"], 100_000);
    assert_eq!(printed["report"]["partitions"].as_array().unwrap().len(), 2);

    let output = example(&[TWENTY, "--partitions=3"]);
    assert_eq!(output.status.code(), Some(0));
    let printed = text(&output.stdout);
    assert!(printed.contains("ATL          13       11   58.4    147.2  SAV        14.2\n"));
    assert!(printed.contains("SEA           2        0      -        -  -             -\n"));
    assert!(printed.contains("20 records in "), "{printed}");
}

#[test]
fn the_program_reads_packed_files_and_warns_of_bad_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv.gz");
    let mut file =
        flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), Default::default());
    file.write_all(b"origin,destination,delay\nATL,SAV,1\n").unwrap();
    (0..5).for_each(|_| file.write_all(b"ATL,SAV,x\n").unwrap());
    file.finish().unwrap();
    let output = example(&[path.to_str().unwrap(), "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let warnings: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings[0].starts_with("warning: bad_value at memory:3 (byte 35): "), "{warnings:?}");
    assert_eq!(warnings[3], "warning: 2 more rows that could not be read");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["report"]["dead_letter"], 5);
}

#[test]
fn bad_arguments_are_refused_in_one_line_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let torn = file("torn.csv.gz", &std::fs::read(PACKED).unwrap()[..1000]);
    let other = file("other.csv", b"a,b\n1,2\n3,4\n");
    let folder = folder.path().to_str().unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--partitons", "2"], 64, "did you mean --partitions"),
        (&["--partitions", "0"], 64, "out of range at --partitions: 0; allowed 1..=1024"),
        (&["--partitions"], 64, "at --partitions: \"\"; allowed 1..=1024"),
        (&["--format", "xml"], 64, "not allowed at --format: xml; allowed text, json"),
        (&["a.csv", "b.csv"], 64, "second file at flights: b.csv; allowed one"),
        (&["/no/such.csv"], 66, "cannot open /no/such.csv"),
        (&["/no/such.csv.gz"], 66, "cannot open /no/such.csv.gz"),
        (&[folder], 66, "is a folder"),
        (&[&torn], 65, "cannot unpack"),
        (&[&other], 65, "not one row could be read"),
    ];
    for (arguments, code, says) in cases {
        let output = example(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {stderr}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        let errors: Vec<&str> =
            stderr.lines().filter(|line| !line.starts_with("warning: ")).collect();
        assert_eq!(errors.len(), 1, "{arguments:?}: {stderr}");
        assert!(errors[0].starts_with("error: ") && errors[0].contains(says), "{stderr}");
    }
}
