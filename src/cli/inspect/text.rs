//! How answers are shown to people: a table, or a line for each decision.

use serde_json::Value;

use crate::cli::inspect::question::{InspectTopic, KeyNames};
use crate::config::wording::shown;
use crate::metrics::report_text::{duration, grouped, rate, write_table};

/// A column: its heading, where it stands in a row of the answer, how it is written.
type Column = (&'static str, &'static str, fn(&Value) -> String);

const TASKS: [Column; 7] = [
    ("task", "/name", text),
    ("in", "/records_in", count),
    ("out", "/records_out", count),
    ("busy", "/busy", percent),
    ("stalled", "/stalled", percent),
    ("step p50", "/service_ns/p50", time),
    ("p99", "/service_ns/p99", time),
];

const LANES: [Column; 6] = [
    ("edge", "/name", text),
    ("full", "/full", percent),
    ("batches", "/queue_wait_ns/count", count),
    ("wait p50", "/queue_wait_ns/p50", time),
    ("p99", "/queue_wait_ns/p99", time),
    ("max", "/queue_wait_ns/max", time),
];

const HOT_KEYS: [Column; 7] = [
    ("key", "/key", text),
    ("domain", "/domain", text),
    ("owner", "/owner", count),
    ("route", "/route", text),
    ("of a core", "/share_of_core", percent),
    ("of its partition", "/share_of_partition", percent),
    ("state bytes", "/state_bytes", count),
];

const PARTITIONS: [Column; 5] = [
    ("partition", "/core", |core| core.as_u64().map_or("on any core".into(), on_core)),
    ("records", "/records", count),
    ("busy", "/busy", percent),
    ("idle", "/idle", percent),
    ("stalled", "/stalled", percent),
];

/// What `answer` says about `topic`, in lines.
pub(super) fn text_of(topic: InspectTopic, names: KeyNames, answer: &Value) -> String {
    let about = &answer[topic.name()];
    let rows = about.as_array().map_or(&[][..], Vec::as_slice);
    match topic {
        InspectTopic::Tasks => table(&TASKS, rows),
        InspectTopic::Lanes if rows.is_empty() => "no lanes: the job is one task\n".into(),
        InspectTopic::Lanes => table(&LANES, rows),
        InspectTopic::HotKeys if rows.is_empty() => "no hot keys\n".into(),
        InspectTopic::HotKeys => {
            let hint = "\n--show-keys names the keys\n";
            table(&HOT_KEYS, rows) + if names == KeyNames::Hidden { hint } else { "" }
        }
        InspectTopic::Checkpoints => "no checkpoints: this job takes none\n".into(),
        InspectTopic::Decisions if rows.is_empty() => "no decisions\n".into(),
        InspectTopic::Decisions => rows.iter().map(decision).collect(),
        InspectTopic::Health => health(answer, about),
    }
}

fn table(columns: &[Column], rows: &[Value]) -> String {
    let mut cells: Vec<Vec<String>> = vec![columns.iter().map(|one| one.0.to_owned()).collect()];
    let cell = |row: &Value, (_, place, write): &Column| row.pointer(place).map(*write);
    cells.extend(rows.iter().map(|row| {
        columns.iter().map(|one| cell(row, one).unwrap_or_else(|| "-".into())).collect()
    }));
    let mut page = String::new();
    write_table(&mut page, &cells).expect("a string takes everything");
    page.trim_start().to_owned()
}

fn decision(row: &Value) -> String {
    let said = row["text"].as_str().unwrap_or_default();
    // A policy of one's own may say anything.
    let plain: String = said.chars().flat_map(plain).collect();
    format!("{:10.3} s  {plain}\n", row["seconds"].as_f64().unwrap_or_default())
}

/// The character, or what stands for it where a terminal would not show it.
fn plain(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let whole = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(whole)
}

fn health(answer: &Value, about: &Value) -> String {
    let word = |value: &Value| shown(value.as_str().unwrap_or("-"));
    let figure = |name: &str| about[name].as_f64().unwrap_or_default();
    let mut page = format!(
        "{}: job `{}` of process {}, {:.1} s, {} records, {} records/s\n",
        word(&about["status"]),
        word(&answer["job"]),
        answer["pid"],
        figure("seconds"),
        count(&about["records"]),
        rate(figure("records_per_second")),
    );
    if let Some(task) = about["back_pressure"].as_str() {
        let key = about["back_pressure_key"].as_str();
        let key = key.map_or(String::new(), |key| format!(", key {}", shown(key)));
        page += &format!("back-pressure comes from `{}`{key}\n", shown(task));
    }
    for (name, what) in [("dead_letter", "dead letters"), ("late", "late records")] {
        if figure(name) > 0.0 {
            page += &format!("{} {what}\n", count(&about[name]));
        }
    }
    for warning in about["warnings"].as_array().into_iter().flatten() {
        page += &format!("warning: {}\n", word(warning));
    }
    page + "\n" + &table(&PARTITIONS, about["partitions"].as_array().map_or(&[], Vec::as_slice))
}

fn on_core(core: u64) -> String {
    format!("on core {core}")
}

fn text(value: &Value) -> String {
    value.as_str().map_or("-".into(), shown)
}

fn count(value: &Value) -> String {
    value.as_u64().map_or("-".into(), grouped)
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or("-".into(), |share| format!("{:.1} %", share * 100.0))
}

fn time(value: &Value) -> String {
    value.as_u64().map_or("-".into(), duration)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(topic: InspectTopic, answer: &Value) -> String {
        text_of(topic, KeyNames::Hidden, answer)
    }

    #[test]
    fn rows_become_a_table_and_what_is_not_there_a_dash() {
        let answer = json!({ "hot-keys": [
            { "key": "\"\u{1b}[31m\"", "domain": "count", "owner": 1, "route": "override",
              "share_of_core": 0.5, "share_of_partition": 0.125, "state_bytes": 12_345 },
            { "key": "#07" },
        ]});
        let page = of(InspectTopic::HotKeys, &answer);
        let lines: Vec<&str> = page.lines().collect();
        assert!(lines[0].starts_with("key ") && lines[0].ends_with("  state bytes"), "{page}");
        assert!(lines[1].starts_with("\"\\u{1b}[31m\"  "), "{page}");
        assert!(lines[1].contains(" 50.0 % ") && lines[1].ends_with(" 12,345"), "{page}");
        assert!(lines[2].starts_with("#07 ") && lines[2].ends_with(" -"), "{page}");
        assert_eq!(lines[4], "--show-keys names the keys");
        assert!(!text_of(InspectTopic::HotKeys, KeyNames::Shown, &answer).contains("--show-keys"));
    }

    #[test]
    fn decisions_are_a_line_each_whatever_they_say() {
        let said = json!({ "seconds": 1.5, "text": "1 balance: a\nb\u{7}" });
        let page = of(InspectTopic::Decisions, &json!({ "decisions": [said] }));
        assert_eq!(page, "     1.500 s  1 balance: a\\nb\\u{7}\n");
    }

    #[test]
    fn where_there_is_nothing_a_line_says_so() {
        for topic in [InspectTopic::HotKeys, InspectTopic::Decisions, InspectTopic::Checkpoints] {
            let page = of(topic, &json!({ topic.name(): [] }));
            assert!(page.starts_with("no ") && page.lines().count() == 1, "{page}");
        }
    }

    #[test]
    fn health_names_the_culprit_and_every_partition() {
        let partitions = [json!({ "core": 3, "records": 9, "busy": 0.75 }), json!({})];
        let health = json!({
            "status": "ok", "seconds": 2.0, "records": 1_500, "records_per_second": 750.0,
            "back_pressure": "count", "back_pressure_key": "#07", "late": 2, "warnings": ["odd"],
            "partitions": partitions,
        });
        let page = of(InspectTopic::Health, &json!({ "job": "sums", "pid": 42, "health": health }));
        let start = "ok: job `sums` of process 42, 2.0 s, 1,500 records, 750.0 records/s\n\
                     back-pressure comes from `count`, key #07\n2 late records\nwarning: odd\n\n";
        assert!(page.starts_with(start), "{page}");
        assert!(page.contains("on core 3") && page.contains("75.0 %"), "{page}");
    }
}
