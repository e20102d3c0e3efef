//! What `knobs` says can be tried: a name is found or refused, and each benchmark runs.

use serde_json::Value;

use crate::{refusal, run, text};

fn json(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn name_is_found_with_and_without_dashes() {
    for name in ["linger", "--linger"] {
        assert_eq!(json(&["knobs", name, "--format", "json"])["variable"], "MILLSTREAM_LINGER");
    }
}

#[test]
fn unknown_name_has_a_suggestion() {
    for name in ["lingr", "--lingr"] {
        assert_eq!(
            refusal(&run(&["knobs", name]), 64),
            "error: unknown knob at millstream knobs: lingr; did you mean linger\n"
        );
    }
    let stderr = refusal(&run(&["knobs", "speed"]), 64);
    assert!(stderr.starts_with("error: unknown knob at millstream knobs: speed; allowed cores, "));
    assert_eq!(
        refusal(&run(&["knobs", "linger", "--format", "xml"]), 64),
        "error: unknown value at --format: xml; allowed text|json\n"
    );
    assert_eq!(
        refusal(&run(&["knobs", "linger", "pin"]), 64),
        "error: unexpected argument at millstream knobs: pin; see millstream knobs --help\n"
    );
}

/// Runs the command on little input: its exit code, and its report where it has one.
fn tried(command: &str) -> (Option<i32>, Value, String) {
    let end = match command.starts_with("millstream bench idle ") {
        true => ["--duration", "20ms"],
        false => ["--records", "20000"],
    };
    let short = ["--warmup", "0", "--baseline", "off", "--format", "json"];
    let words: Vec<&str> = command.split(' ').skip(1).chain(end).chain(short).collect();
    let output = run(&words);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report, text(&output.stderr).to_owned())
}

#[test]
fn each_benchmark_runs_and_reports_what_it_is_said_to_show() {
    let all = json(&["knobs", "--format", "json"]);
    for knob in all["knobs"].as_array().expect("a list") {
        let (name, benchmark) = (&knob["name"], &knob["benchmark"]);
        let shows = benchmark["shows"].as_str().expect("text");
        let commands = benchmark["commands"].as_array().expect("a list");
        assert_eq!(commands.len(), 2, "{name}");
        let commands = commands.iter().filter_map(Value::as_str);
        let runs: Vec<_> = commands.map(tried).collect();
        if shows == "exit code" {
            let codes: Vec<_> = runs.iter().map(|(code, ..)| *code).collect();
            assert!(codes[0] != codes[1] && codes[1] == Some(0), "{name}: {codes:?}");
            continue;
        }
        let field = format!("/{}", shows.replace('.', "/"));
        for (code, report, stderr) in runs {
            // This host may keep core 0 or pinning from us.
            let is_kept =
                matches!(name.as_str(), Some("cores" | "pin")) && matches!(code, Some(64 | 77));
            assert!(code == Some(0) || is_kept, "{name}: {code:?} {stderr}");
            let seen = report.pointer(&field).is_some_and(|value| !value.is_null());
            assert!(seen || is_kept, "{name}: no {shows} in {report}");
        }
    }
}
