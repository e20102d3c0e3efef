//! The workloads with event time through the binary: `window-sum` and `nexmark-qN`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bench::{mix64, pair, report};

const BASE_MS: u64 = 1_436_918_400_000;

/// Sums by key, start and end of the window, in milliseconds.
type Sums = BTreeMap<(u64, u64, u64), u64>;

fn checksum(sums: &Sums) -> u64 {
    let of_window = |((key, start, end), sum): (&(u64, u64, u64), &u64)| {
        mix64(start ^ mix64(end ^ mix64(key ^ mix64(*sum))))
    };
    sums.iter().map(of_window).fold(0, u64::wrapping_add)
}

/// Sums over windows of `size_ms` that start at multiples of `slide_ms`.
fn slid(records: u64, per_second: u64, size_ms: u64, slide_ms: u64) -> Sums {
    let mut sums = Sums::new();
    for index in 0..records {
        let (key, value) = pair(index, 20);
        let time = BASE_MS + index * 1_000 / per_second;
        let mut start = time / slide_ms * slide_ms;
        while start + size_ms > time {
            *sums.entry((key, start, start + size_ms)).or_default() += value;
            start -= slide_ms;
        }
    }
    sums
}

/// Sums over stretches without a pause of `gap_ms`.
fn sessions(records: u64, per_second: u64, gap_ms: u64) -> Sums {
    let mut open: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
    let mut sums = Sums::new();
    for index in 0..records {
        let (key, value) = pair(index, 20);
        let time = BASE_MS + index * 1_000 / per_second;
        let (start, end, sum) = open.entry(key).or_insert((time, time + 1, 0));
        if time >= *end {
            sums.insert((key, *start, *end), *sum);
            (*start, *sum) = (time, 0);
        }
        (*end, *sum) = (time + gap_ms, *sum + value);
    }
    sums.extend(open.into_iter().map(|(key, (start, end, sum))| ((key, start, end), sum)));
    sums
}

#[test]
fn window_sum_comes_to_the_documented_checksum_however_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.jsonl");
    for (window, expected) in [
        ("tumbling:1s", slid(5_000, 1_000, 1_000, 1_000)),
        ("sliding:1s,300ms", slid(5_000, 1_000, 1_000, 300)),
        ("session:60ms", sessions(5_000, 1_000, 60)),
    ] {
        for flags in ["--partitions 1", "--partitions 2 --batch-size 7", "--partitions 3"] {
            let line = format!(
                "window-sum --records 5000 --keys 20 --event-rate 1000 --window {window} {flags} \
                 --output {}",
                output.display()
            );
            let report = report(&line);
            let result = &report["result"];
            assert_eq!(result["results"], expected.len(), "{line}");
            assert_eq!(result["total_sum"], expected.values().sum::<u64>(), "{line}");
            assert_eq!(result["checksum"], checksum(&expected), "{line}");
            assert_eq!(report["late"], 0, "{line}");
            let lines = std::fs::read_to_string(&output).expect("an output");
            let rows = lines.lines().map(|line| {
                let row: Value = serde_json::from_str(line).expect("a JSON line");
                let figure = |name: &str| row[name].as_u64().expect(name);
                ((figure("key"), figure("start"), figure("end")), figure("sum"))
            });
            assert_eq!(rows.collect::<Sums>(), expected, "{line}");
        }
    }
}

#[test]
fn window_sum_on_a_schedule_says_how_far_watermarks_are_behind() {
    let line = "window-sum --records 30000 --keys 20 --event-rate 100000 --window tumbling:10ms";
    for partitions in 1..=2 {
        let lag = report(&format!("{line} --rate 100000 --partitions {partitions}"));
        let lag = &lag["result"]["watermark_lag_ns"];
        let figure = |name: &str| lag[name].as_u64().expect("a number");
        // Each of 300 ms is over once on each partition; the last ones when the input is.
        assert!((1..=300 * partitions).contains(&figure("count")), "{lag}");
        assert!(figure("p50") <= figure("p90") && figure("p90") <= figure("max"), "{lag}");
    }
    assert!(report(line)["result"]["watermark_lag_ns"].is_null());
}

#[test]
fn nexmark_queries_come_to_one_checksum_and_write_their_rows_and_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dump, output) = (folder.path().join("events.jsonl"), folder.path().join("rows.jsonl"));
    for query in ["q0", "q4", "q5", "q8", "q11", "q17"] {
        let of = |flags: &str| {
            report(&format!("nexmark-{query} --records 8000 --event-rate 400 {flags}"))
        };
        let alone =
            of(&format!("--partitions 1 --dump {} --output {}", dump.display(), output.display()));
        let rows = alone["result"]["rows"].as_u64().expect("rows");
        let count = |path| std::fs::read_to_string(path).expect("a file").lines().count() as u64;
        assert_eq!((count(&dump), count(&output)), (8_000, rows), "{query}");
        assert!(rows > 0, "{query}");
        let parted = of("--partitions 3 --repeat 2");
        assert_eq!(parted["result"], alone["result"], "{query}");
        assert_eq!(parted["parameters"]["event-rate"], 400);
    }
}

#[test]
fn nexmark_q12_writes_the_rows_of_a_clock_that_follows_event_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dump, output) = (folder.path().join("events.jsonl"), folder.path().join("rows.jsonl"));
    let lines = |path| {
        let text = std::fs::read_to_string(path).expect("a file");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a JSON line"));
        lines.collect::<Vec<Value>>()
    };
    let figure = |row: &Value, name: &str| row[name].as_u64().expect("a number");
    for partitions in 1..=3 {
        let line = format!(
            "nexmark-q12 --records 20000 --event-rate 400 --seed {partitions} \
             --partitions {partitions} --dump {} --output {}",
            dump.display(),
            output.display()
        );
        report(&line);
        let mut expected = BTreeMap::<_, u64>::new();
        for bid in lines(&dump).iter().filter(|event| event["kind"] == "bid") {
            let window = figure(bid, "time") / 10_000 * 10_000;
            *expected.entry((window, figure(bid, "bidder"))).or_default() += 1;
        }
        let rows = lines(&output);
        let count =
            |row: &Value| ((figure(row, "window"), figure(row, "bidder")), figure(row, "bids"));
        assert_eq!(rows.iter().map(count).collect::<BTreeMap<_, _>>(), expected, "{line}");
        assert_eq!(rows.len(), expected.len(), "each comes once");
        let windows: std::collections::BTreeSet<_> = expected.keys().map(|row| row.0).collect();
        assert_eq!(windows.len(), 5);
    }
}
