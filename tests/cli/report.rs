//! `bench --report` through the binary: the page, what is in it, and the paths that it refuses.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::{millstream, refusal, run, text};

/// The JSON report and the page of a run that went well.
fn reported(line: &str) -> (Value, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("page.html");
    let arguments: Vec<&str> = ["bench"].into_iter().chain(line.split(' ')).collect();
    let mut command = millstream(&arguments);
    let output = command.args(["--format", "json", "--report"]).arg(&path).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
    let json = serde_json::from_slice(&output.stdout).expect("one JSON object on stdout");
    let page = fs::read_to_string(&path).expect("a page");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    (json, page)
}

/// What stands in the element with this id.
fn content<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!(" id=\"{id}\">")).expect("an element");
    rest.split_once("</script>").expect("its end").0
}

fn data(page: &str) -> Value {
    serde_json::from_str(content(page, "data")).expect("JSON")
}

fn list<'a>(value: &'a Value, place: &str) -> &'a [Value] {
    value.pointer(place).and_then(Value::as_array).unwrap_or_else(|| panic!("no list at {place}"))
}

fn unbase64(coded: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut width) = (0u32, 0);
    for digit in coded.bytes().filter(|digit| *digit != b'=') {
        let value = digits.iter().position(|known| *known == digit).expect("a digit");
        bits = bits << 6 | value as u32;
        width += 6;
        if width >= 8 {
            width -= 8;
            bytes.push((bits >> width) as u8);
        }
    }
    bytes
}

#[test]
fn the_page_has_the_figures_of_the_report_and_asks_no_host_for_anything() {
    let (json, page) = reported(
        "hot-key-shift --rate 300000 --duration 1200ms --warmup 0s --partitions 2 --keys 1000 \
         --rebalance combine",
    );
    for load in ["http:", "https:", " src=", "//cdn", "@import", "url("] {
        assert!(!page.contains(load), "{load}");
    }
    assert!(page.contains("default-src 'none'") && page.matches("<link").count() == 1);
    let data = data(&page);
    assert_eq!(data["summary"], json);
    let timeline = &data["recording"]["timeline"];
    let step = timeline["step_seconds"].as_f64().expect("seconds");
    let whole = timeline["seconds"].as_f64().expect("seconds");
    for (index, partition) in list(timeline, "/partitions").iter().enumerate() {
        let steps = list(partition, "/let_in").len();
        let figure = |field: &str, at: usize| partition[field][at].as_f64().expect("a figure");
        let length = |at: usize| (whole - at as f64 * step).min(step);
        let records: f64 = (0..steps).map(|at| figure("let_in", at) * length(at)).sum();
        let wanted = json["partitions"][index]["records"].as_f64().expect("records");
        assert!((records - wanted).abs() < 0.01 * wanted, "{records} of {wanted}");
        let busy: f64 = (0..steps).map(|at| figure("busy", at) * length(at)).sum();
        let wanted = json["partitions"][index]["busy"].as_f64().expect("a share");
        assert!((busy / whole - wanted).abs() < 0.03, "{} of {wanted}", busy / whole);
    }
    for curve in list(&data, "/recording/curves") {
        let name = curve["name"].as_str().expect("a name");
        let percentiles = &json[format!("{}_ns", name.replace(' ', "_"))];
        assert_eq!(curve["count"], percentiles["count"], "{name}");
        assert_eq!(
            list(curve, "/points").last().expect("a point")[1],
            percentiles["max"],
            "{name}"
        );
    }
    assert_eq!(data["recording"]["curves"][0]["name"], "latency");
}

#[test]
fn the_library_in_the_page_is_whole() {
    let (_, page) = reported("chain --records 100000 --baseline off");
    let packed = unbase64(content(&page, "library"));
    let mut library = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut library).expect("a compressed file");
    let notice = "\n/*\n* Licensed to the Apache Software Foundation";
    assert!(library.starts_with(notice) && library.len() > 1_000_000, "{}", library.len());
}

#[test]
fn of_several_runs_the_one_of_the_report_is_shown() {
    let (json, page) = reported("keyed-count --records 200000 --keys 100 --repeat 3");
    let data = data(&page);
    assert_eq!(data["summary"], json);
    let samples = list(&json, "/samples");
    let shown = data["repetition"].as_u64().expect("a number") as usize;
    assert_eq!(samples[shown - 1], json["records_per_second"]);
    assert_eq!(json["repetitions"], 3);
}

#[test]
fn keys_have_names_only_where_they_are_asked_for() {
    let line = "hot-key --rate 200000 --duration 1500ms --warmup 0s --partitions 2 --keys 1000";
    for (flags, begin) in [("", "#"), (" --show-keys", "0")] {
        let data = data(&reported(&format!("{line}{flags}")).1);
        let keys = list(&data, "/recording/hot_keys");
        let hottest = keys.first().expect("a hot key");
        assert!(hottest["key"].as_str().expect("a key").starts_with(begin), "{hottest}");
        assert!(hottest["share_of_core"].as_f64().expect("a share") > 0.0);
        assert!(!list(hottest, "/points").is_empty());
    }
}

#[test]
fn a_page_that_cannot_be_written_is_refused_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let read_only = folder.path().join("r.html");
    fs::write(&read_only, "kept").expect("written");
    let mut permissions = fs::metadata(&read_only).expect("there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&read_only, permissions).expect("set");
    let refused = |workload: &str, path: &Path, code: i32| {
        let path = path.to_str().expect("UTF-8");
        // It would run for a week.
        let output = run(&["bench", workload, "--duration", "168h", "--report", path]);
        let stderr = refusal(&output, code);
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    };
    for (path, wanted) in [
        (folder.path(), "no regular file at --report: "),
        (Path::new("/dev/null"), "no regular file at --report: /dev/null; allowed a new file"),
        (&read_only, "read-only file at --report: "),
        (Path::new("/nowhere/a.html"), "cannot create file at /nowhere/a.html: "),
    ] {
        let stderr = refused("keyed-count", path, 73);
        assert!(stderr.starts_with(&format!("error: {wanted}")), "{stderr}");
    }
    assert_eq!(fs::read_to_string(&read_only).expect("read"), "kept");
    let stderr = refused("idle", Path::new("a.html"), 64);
    assert!(stderr.starts_with("error: nothing to plot at --report: a.html; allowed "), "{stderr}");
    let both = ["bench", "keyed-count", "--output", "a", "--report", "a"];
    let stderr = refusal(&run(&both), 64);
    assert!(stderr.contains("--output and --report both write a; allowed different"), "{stderr}");
    assert!(refusal(&run(&["bench", "chain", "--report="]), 64).contains("empty value"));
}
