//! What is printed: medians, spreads, ratios.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::latency::{PERCENTILES, RATE};
use crate::suite::{Measured, Series, median};
use crate::work::NAMES;

/// Each peer with the contender of ours that it is compared with.
const PAIRS: [(&str, &str); 5] = [
    ("timely", "ours"),
    ("timely_preagg", "ours_pre_aggregated"),
    ("renoir", "ours"),
    ("renoir_preagg", "ours_pre_aggregated"),
    ("plain_loop", "ours"),
];

/// One case: medians in the best shape of each, spread, ratios, and what the other shapes gave.
pub fn case(measured: &Measured, all: &[Series]) -> Value {
    let mut report = json!({ "name": measured.case.name, "records": measured.case.records });
    let mut spread = Map::new();
    for name in NAMES {
        let best = best(all, name);
        report[name] = best.map_or(Value::Null, |series| json!(series.median() as u64));
        spread.insert(name.into(), best.map_or(Value::Null, |series| json!(series.spread())));
    }
    report["spread"] = Value::Object(spread);
    report["ratio"] = ratios(&report);
    report["shapes"] = shapes(all);
    report["work_rounds"] = json!(measured.rounds);
    report["checksum"] = measured.checksum.map_or(Value::Null, |sum| json!(format!("{sum:#018x}")));
    report
}

/// Ours through each peer's, null where one of them is missing.
fn ratios(report: &Value) -> Value {
    let ratio = |(peer, ours): (&str, &str)| {
        let ratio =
            report[ours].as_f64().zip(report[peer].as_f64()).map(|(ours, peer)| ours / peer);
        (peer.to_owned(), json!(ratio))
    };
    Value::Object(PAIRS.into_iter().map(ratio).collect())
}

fn best<'a>(all: &'a [Series], name: &str) -> Option<&'a Series> {
    let of_name = all.iter().filter(|series| series.contender == name);
    of_name.max_by(|a, b| a.median().total_cmp(&b.median()))
}

/// Medians of every shape that was tried, by contender.
fn shapes(all: &[Series]) -> Value {
    let mut tried = json!({});
    for series in all {
        tried[series.contender][&series.shape] = json!(series.median() as u64);
    }
    tried
}

/// Peak memory of each contender, and ours through theirs.
pub fn memory(measured: &Measured) -> Value {
    let mut report = json!({ "case": measured.case.name, "records": measured.case.records });
    for name in NAMES {
        let of_name = measured.quiet.iter().filter(|series| series.contender == name);
        // The shape that takes the least, since the best speaks for its contender.
        let least = of_name.min_by(|a, b| a.median().total_cmp(&b.median()));
        report[name] = least.map_or(Value::Null, |series| json!(series.median() as u64));
    }
    report["ratio"] = ratios(&report);
    report
}

/// Latency: each percentile is the median over the repetitions.
pub fn latency(runs: &[(Series, Vec<Value>)], hiccups: (Value, Value)) -> Value {
    let mut report = json!({ "rate": RATE, "ours": null, "timely": null });
    for (series, reports) in runs {
        report[series.contender] = middle(reports);
    }
    let (ours, timely) = (report["ours"].clone(), report["timely"].clone());
    for (name, _) in PERCENTILES {
        let pair = ours[name].as_f64().zip(timely[name].as_f64());
        report["ratio"][name] = json!(pair.map(|(ours, timely)| ours / timely));
    }
    report["hiccup"] = json!({ "before": hiccups.0, "after": hiccups.1 });
    report
}

fn middle(reports: &[Value]) -> Value {
    let figures = |name: &str| -> Vec<f64> {
        reports.iter().filter_map(|report| report[name].as_f64()).collect()
    };
    let mut one = json!({});
    for name in PERCENTILES.iter().map(|percentile| percentile.0).chain(["max", "rate_achieved"]) {
        one[name] = json!(median(&figures(name)) as u64);
    }
    for name in ["p50", "p90"] {
        let each: Vec<u64> = figures(name).iter().map(|&ns| ns as u64).collect();
        one[format!("{name}_of_each")] = json!(each);
    }
    one
}

/// The whole report as text.
pub fn text(report: &Value) -> String {
    let mut text = String::new();
    for (name, what) in [("cases", "M records/s"), ("busy_core", "M records/s, first core busy")] {
        let cases = report[name].as_array().into_iter().flatten();
        let mut rows = cases.map(row).peekable();
        if rows.peek().is_some() {
            header(&mut text, what);
        }
        rows.for_each(|row| text.push_str(&row));
    }
    for name in ["latency", "memory"] {
        if report[name].is_object() {
            let pretty = serde_json::to_string_pretty(&report[name]).expect("a value prints");
            let _ = writeln!(text, "{name} {pretty}");
        }
    }
    text
}

fn header(text: &mut String, what: &str) {
    let _ = write!(text, "{what:<14}");
    for name in NAMES {
        let _ = write!(text, " {:>14}", name.replace("_aggregated", "_agg"));
    }
    text.push('\n');
}

fn row(case: &Value) -> String {
    let mut row = format!("{:<14}", case["name"].as_str().unwrap_or_default());
    for name in NAMES {
        let cell = case[name].as_f64().map_or("-".to_owned(), |rate| {
            let spread = case["spread"][name].as_f64().unwrap_or_default() * 100.0;
            format!("{:.1} ±{spread:.0}%", rate / 1e6)
        });
        let _ = write!(row, " {cell:>14}");
    }
    row.push('\n');
    let _ = write!(row, "{:<14} {:>14} {:>14}", "  ours/peer", "", "");
    for (peer, _) in PAIRS {
        let ratio = case["ratio"][peer].as_f64();
        let _ = write!(row, " {:>14}", ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
    }
    row.push('\n');
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::CASES;

    fn series(contender: &'static str, shape: &str, figures: &[f64]) -> Series {
        Series { contender, shape: shape.to_owned(), figures: figures.to_vec() }
    }

    #[test]
    fn best_shape_speaks_for_its_contender_and_missing_ones_are_null() {
        let quiet = vec![
            series("ours", "", &[30.0, 20.0, 40.0]),
            series("timely", "epoch=4096", &[10.0, 10.0, 10.0]),
            series("timely", "epoch=16384", &[15.0, 12.0, 18.0]),
        ];
        let measured = Measured {
            case: CASES[0],
            checksum: Some(7),
            rounds: None,
            quiet: quiet.clone(),
            busy: Vec::new(),
        };
        let report = case(&measured, &quiet);
        assert_eq!(report["timely"], 15);
        assert_eq!(report["spread"]["timely"], 0.4);
        assert_eq!(report["ratio"]["timely"], 2.0);
        assert!(report["renoir"].is_null() && report["ratio"]["renoir"].is_null());
        assert_eq!(report["shapes"]["timely"]["epoch=4096"], 10);
        assert_eq!(report["name"], "keys-1k");
    }
}
