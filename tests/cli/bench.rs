//! `bench` through the binary: answers that another program can compute, the JSON, interrupts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{millstream, refusal, text};

pub(crate) const SEED: u64 = 1;
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

// The definitions are written down here once more, apart from the library's, since other programs
// rely on them.

pub(crate) fn mix64(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

pub(crate) fn pair(index: u64, keys: u64) -> (u64, u64) {
    let bits = mix64(SEED.wrapping_add(index.wrapping_mul(GOLDEN)));
    (((u128::from(bits) * u128::from(keys)) >> 64) as u64, bits & 0xFFFF)
}

pub(crate) fn counted(records: u64, keys: u64) -> BTreeMap<u64, (u64, u64)> {
    let mut counted = BTreeMap::new();
    for (key, value) in (0..records).map(|index| pair(index, keys)) {
        let entry: &mut (u64, u64) = counted.entry(key).or_default();
        *entry = (entry.0 + 1, entry.1 + value);
    }
    counted
}

pub(crate) fn checksum(counted: &BTreeMap<u64, (u64, u64)>) -> u64 {
    let of_key = |(key, (count, sum)): (&u64, &(u64, u64))| mix64(key ^ mix64(count ^ mix64(*sum)));
    counted.iter().map(of_key).fold(0, u64::wrapping_add)
}

/// Runs `bench` with the flags of `line`.
fn bench(line: &str) -> Output {
    let arguments: Vec<&str> = ["bench"].into_iter().chain(line.split(' ')).collect();
    millstream(&arguments).output().expect("the binary starts")
}

/// The report of a run that went well.
pub(crate) fn report(line: &str) -> Value {
    json(&bench(&format!("{line} --format json")), line)
}

pub(crate) fn json(output: &Output, line: &str) -> Value {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
    assert!(stderr.lines().all(|line| line.starts_with("warning: ")), "{line}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("one JSON object on stdout")
}

#[test]
fn keyed_count_comes_to_the_documented_checksum_however_it_runs() {
    let (records, keys) = (60_000, 1_000);
    let expected = counted(records, keys);
    for flags in [
        "--partitions 1",
        "--partitions 2 --batch-size 7 --pre-aggregate off",
        "--partitions 3 --batch-size 1 --lane-capacity 1 --pre-aggregate on",
        "--partitions 8 --batch-size 1024",
        "--partitions 2 --batch-size 65536 --linger 0",
        "--partitions 2 --emit each",
        "--partitions 3 --emit every:1ms --pre-aggregate on",
        "--partitions 2 --metrics off --idle yield",
        "--partitions 2 --rate 10000000",
    ] {
        let line = format!("keyed-count --records {records} --keys {keys} {flags}");
        let result = &report(&line)["result"];
        assert_eq!(result["checksum"], checksum(&expected), "{line}");
        assert_eq!(result["keys"], expected.len(), "{line}");
        assert_eq!(result["total_count"], records, "{line}");
    }
}

#[test]
fn skewed_input_comes_to_one_checksum_too() {
    let of = |partitions: u32| {
        let line = format!("keyed-count --records 50000 --skew zipf:1.2 --partitions {partitions}");
        report(&line)["result"].clone()
    };
    let alone = of(1);
    assert_eq!(alone["total_count"], 50_000);
    assert_eq!(alone, of(3));
}

#[test]
fn moving_workloads_lose_nothing_and_change_nothing() {
    let records = 40_000;
    let digest = |(key, value): (u64, u64)| key.wrapping_mul(GOLDEN) ^ value;
    let pairs = (0..records).map(|index| digest(pair(index, 100_000))).fold(0, u64::wrapping_add);
    let kept: Vec<u64> = (0..records)
        .map(|index| mix64(SEED + index))
        .map(|record| record ^ (record >> 29))
        .filter(|record| record & 0xFF != 0)
        .map(|record| record.wrapping_mul(3).wrapping_add(1))
        .collect();
    let chained = kept.iter().copied().fold(0, u64::wrapping_add);
    for partitions in [1, 2, 3] {
        let of = |workload: &str| {
            report(&format!("{workload} --records {records} --partitions {partitions}"))
        };
        let [lane, exchange, chain] = ["lane", "exchange", "chain"].map(of);
        for moved in [&lane, &exchange] {
            assert_eq!(moved["result"]["checksum"], pairs, "{moved}");
            assert_eq!(moved["result"]["total_count"], records);
            assert!(moved["result"]["bytes_per_second"].as_f64() > Some(0.0));
        }
        assert!(exchange["result"]["ratio"].as_f64() > Some(0.0));
        assert_eq!(lane["partitions"][0]["records"], records, "only partition 0 has a source");
        assert_eq!(chain["result"]["checksum"], chained);
        assert_eq!(chain["result"]["total_count"], kept.len());
        assert!(chain["result"]["ratio"].as_f64() > Some(0.0));
        assert!(chain["result"]["loop_records_per_second"].as_f64() > Some(0.0));
    }
    let alone = report("chain --records 1000 --baseline off");
    assert!(alone["result"]["ratio"].is_null());
}

#[test]
fn json_has_every_field_that_scripts_read() {
    let report = report("keyed-count --records 3000 --partitions 2 --repeat 3 --keys 10");
    for field in [
        "workload",
        "parameters",
        "host",
        "cores",
        "pinned",
        "partitions",
        "records",
        "seconds",
        "records_per_second",
        "latency_ns",
        "queue_wait_ns",
        "service_ns",
        "stall_ns",
        "moves",
        "samples",
        "rate_offered",
        "rate_achieved",
        "hiccup_ns",
        "late",
        "dead_letter",
        "rss_bytes_max",
        "result",
    ] {
        assert!(report.get(field).is_some(), "{field}");
    }
    for field in ["model", "cores_allowed", "version"] {
        assert!(report["host"].get(field).is_some(), "host.{field}");
    }
    assert_eq!(report["partitions"].as_array().map(Vec::len), Some(2));
    for field in ["core", "records", "busy", "idle", "stalled", "involuntary_switches"] {
        assert!(report["partitions"][1].get(field).is_some(), "partitions.{field}");
    }
    for shape in ["latency_ns", "queue_wait_ns", "service_ns", "stall_ns"] {
        for figure in ["p50", "p90", "p99", "p999", "max", "count"] {
            assert!(report[shape][figure].is_u64(), "{shape}.{figure}");
        }
    }
    for field in [
        "count",
        "groups",
        "keys",
        "combined_keys",
        "stolen_records",
        "pause_ns_p50",
        "pause_ns_p99",
    ] {
        assert_eq!(report["moves"][field], 0, "moves.{field}");
    }
    let parameters = &report["parameters"];
    for (name, value) in [("partitions", 2), ("keys", 10), ("repeat", 3), ("records", 3_000)] {
        assert_eq!(parameters[name], value, "{name}");
    }
    for (name, value) in [("skew", "uniform"), ("emit", "end"), ("linger", "500us")] {
        assert_eq!(parameters[name], value, "{name}");
    }
    assert_eq!((&report["workload"], &report["records"]), (&"keyed-count".into(), &3_000.into()));
    assert_eq!(report["samples"].as_array().map(Vec::len), Some(3), "one per repetition");
    assert_eq!(report["debug_build"], cfg!(debug_assertions));
    assert_eq!((&report["late"], &report["interrupted"]), (&0.into(), &false.into()));
}

#[test]
fn text_is_for_people_and_says_what_build_it_is() {
    let output = bench("keyed-count --records 1000 --partitions 1 --color always");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
    let page = text(&output.stdout);
    let head = page.lines().next().expect("a first line");
    assert!(head.starts_with("\u{1b}[1mkeyed-count"), "{head}");
    assert_eq!(head.contains("debug build"), cfg!(debug_assertions));
    for part in ["records/s", "checksum", "partition  core", "total count"] {
        assert!(page.contains(part), "{part:?} is missing in\n{page}");
    }
}

#[test]
fn dump_and_output_are_files_that_another_program_can_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dump, output) = (folder.path().join("in.csv"), folder.path().join("out.jsonl"));
    for flags in ["--partitions 2", "--partitions 3 --emit each --rate 1000000"] {
        report(&format!(
            "keyed-count --records 5000 --keys 100 {flags} --dump {} --output {}",
            dump.display(),
            output.display()
        ));
        let rows: Vec<String> = (0..5_000)
            .map(|index| pair(index, 100))
            .map(|(key, value)| format!("{key},{value}\n"))
            .collect();
        let written = std::fs::read_to_string(&dump).expect("a dump");
        assert!(written == format!("key,value\n{}", rows.concat()), "{flags}");
        let lines = std::fs::read_to_string(&output).expect("an output");
        let results = lines.lines().map(|line| {
            let result: Value = serde_json::from_str(line).expect("a JSON line");
            let figure = |name: &str| result[name].as_u64().expect(name);
            (figure("key"), (figure("count"), figure("sum")))
        });
        assert_eq!(results.collect::<BTreeMap<_, _>>(), counted(5_000, 100), "{flags}");
    }
}

#[test]
fn files_that_cannot_be_written_are_refused_before_or_named_after() {
    let stderr = refusal(&bench("keyed-count --records 10 --output /nowhere/a"), 73);
    assert!(stderr.starts_with("error: cannot create file at /nowhere/a: "), "{stderr}");
    let stderr = refusal(&bench("idle --dump a.csv"), 64);
    assert!(stderr.starts_with("error: nothing to write at --dump: a.csv; "), "{stderr}");
    if Path::new("/dev/full").exists() {
        let line = "keyed-count --records 10 --partitions 1 --dump /dev/full";
        let stderr = refusal(&bench(line), 74);
        assert!(stderr.starts_with("error: write failed at /dev/full: "), "{stderr}");
    }
}

#[test]
fn skewed_keys_beyond_the_memory_are_refused() {
    let line = "keyed-count --skew zipf:1 --keys 1000000 --memory-limit 4MiB";
    let stderr = refusal(&bench(line), 64);
    assert_eq!(
        stderr,
        "error: out of range at --keys: 1000000; allowed 1..=524288 with --skew zipf:1, by the \
         memory\n"
    );
}

#[test]
fn duration_and_warm_up_cut_a_run() {
    let report = report("keyed-count --duration 300ms --warmup 50ms --partitions 2 --keys 100");
    let (measured, all) = (&report["records"], &report["result"]["total_count"]);
    assert!(measured.as_u64() > Some(0) && measured.as_u64() < all.as_u64(), "{report}");
    let seconds = report["seconds"].as_f64().expect("seconds");
    assert!(seconds > 0.0 && seconds < 10.0, "{seconds}");
    assert_eq!(report["parameters"]["warmup"], "50ms");
}

#[test]
fn a_run_that_ends_before_its_warm_up_is_invalid() {
    let report = report("keyed-count --records 100 --warmup 10s --partitions 1");
    assert_eq!((&report["valid"], &report["records"]), (&false.into(), &100.into()));
}

#[test]
fn latency_counts_every_record_after_the_warm_up_from_when_it_was_due() {
    let line = "latency --rate 20000 --duration 100ms --warmup 20ms --partitions 2 --keys 50";
    let report = report(line);
    assert_eq!(report["latency_ns"]["count"], 2_000, "100 ms of 20,000 a second");
    assert_eq!(report["result"]["total_count"], 2_000);
    assert_eq!(report["rate_offered"], 20_000);
    assert!(report["rate_achieved"].as_f64() > Some(0.0));
    let partitions = report["partitions"].as_array().expect("partitions");
    let made: u64 = partitions.iter().map(|one| one["records"].as_u64().unwrap()).sum();
    assert_eq!(made, 2_400);
    assert!(report["latency_ns"]["p50"].as_u64() > Some(0));
    assert!(report["hiccup_ns"]["count"].as_u64() > Some(0));
    assert!(report["result"]["cpu_fraction_of_cores"].as_f64() > Some(0.0));
}

#[test]
fn a_rate_that_is_not_held_is_an_invalid_run() {
    let output = bench("latency --rate 1000000000000 --duration 5ms --baseline off --format json");
    let report = json(&output, "latency");
    assert_eq!(report["valid"], false);
    assert!(text(&output.stderr).contains("offered by --rate"), "{}", text(&output.stderr));
}

#[test]
fn idle_and_startup_give_their_figures() {
    let idle = report("idle --duration 50ms --partitions 2");
    let share = idle["result"]["cpu_fraction_of_one_core"].as_f64().expect("a share");
    assert!((0.0..2.0).contains(&share), "{share}");
    assert_eq!(idle["records"], 0);
    let startup = report("startup --repeat 3 --partitions 2");
    for (median, all) in [("start_ns", "starts_ns"), ("stop_ns", "stops_ns")] {
        let figures = startup["result"][all].as_array().expect(all);
        assert_eq!(figures.len(), 3);
        assert!(figures.contains(&startup["result"][median]), "{startup}");
    }
}

#[test]
fn row_3_more_partitions_than_cores_warn_and_run() {
    let output = bench("keyed-count --records 1000 --keys 10 --partitions 64 --format json");
    let report = json(&output, "64 partitions");
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("warning: 64 partitions on "), "{stderr}");
    assert_eq!((&report["pinned"], &report["cores"]), (&false.into(), &Value::Array(vec![])));
    assert_eq!(report["result"]["checksum"], checksum(&counted(1_000, 10)));
}

#[test]
fn row_6_lanes_beyond_the_memory_show_the_product() {
    let line = "keyed-count --partitions 2 --lane-capacity 1099511627776 --memory-limit 1GiB";
    let stderr = refusal(&bench(line), 64);
    let start = "error: lanes exceed the memory limit at --lane-capacity: 2 * 2 partitions * 1 \
                 exchanges * 1099511627776 batches * ";
    assert!(stderr.starts_with(start), "{stderr}");
    assert!(stderr.ends_with(" bytes; allowed 1GiB, see memory-limit\n"), "{stderr}");
}

#[test]
fn row_40_reader_that_is_gone_ends_a_run_in_silence() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = millstream(&["bench", "keyed-count", "--records", "100", "--partitions", "1"])
        .stdout(writer)
        .output()
        .expect("the binary starts");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(74), ""));
}

/// A run of an hour whose results go to a FIFO: opening its other end waits until the run has
/// begun to listen for interrupts.
fn started(keys: &str) -> (Child, File, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo: PathBuf = folder.path().join("results");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
    assert!(made.success());
    let run = ["bench", "keyed-count", "--duration", "1h", "--partitions", "2", "--keys", keys];
    let child = millstream(&run)
        .args(["--format", "json", "--output"])
        .arg(&fifo)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let results = File::open(&fifo).expect("the other end");
    (child, results, folder)
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    // It may be gone already.
    let _ = kill_process(pid, Signal::INT);
}

#[test]
fn row_40_first_interrupt_drains_and_reports() {
    let (child, mut results, _folder) = started("10");
    interrupt(&child);
    let mut lines = String::new();
    results.read_to_string(&mut lines).expect("results");
    let output = child.wait_with_output().expect("it ends");
    let report = json(&output, "interrupted");
    assert_eq!(report["interrupted"], true);
    let counts = lines.lines().map(|line| {
        let result: Value = serde_json::from_str(line).expect("a JSON line");
        result["count"].as_u64().expect("a count")
    });
    assert_eq!(report["result"]["total_count"], counts.sum::<u64>(), "nothing was dropped");
}

#[test]
fn row_40_second_interrupt_ends_it_at_once() {
    // Its results do not fit into the pipe that nobody reads, so it cannot end by itself. Two
    // interrupts that come at once count as one, so they are sent until they have had their effect.
    let (mut child, _results, _folder) = started("100000");
    let status = loop {
        interrupt(&child);
        std::thread::yield_now();
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
}

/// Set where this test is its own child.
const CHILD: &str = "MILLSTREAM_TEST_PANICS";

/// No workload panics, so a copy of this test runs a pipeline that does, with the binary's doors.
#[test]
fn row_49_an_operator_that_panics_is_one_error_line_and_exit_code_70() {
    use millstream::prelude::*;
    if std::env::var_os(CHILD).is_some() {
        millstream::cli::silence_partitions();
        let pipeline = Pipeline::new("panics");
        pipeline
            .source(millstream::connector::collection(vec![1u32, 2, 3]))
            .map(|number| if number == 3 { panic!("no threes") } else { number })
            .sink(millstream::connector::blackhole());
        let failed = Engine::new(Config::default()).and_then(|engine| engine.run(pipeline));
        let code = millstream::cli::report(&failed.expect_err("it panics"));
        let shown = format!("{code:?}");
        std::process::exit(if shown.contains("70") { 70 } else { 1 });
    }
    let name = "bench::row_49_an_operator_that_panics_is_one_error_line_and_exit_code_70";
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("this test starts");
    assert_eq!(output.status.code(), Some(70), "{}", text(&output.stdout));
    assert_eq!(text(&output.stderr), "error: operator `map` panicked: no threes\n");
}
