//! Alerts for heart rates far from the own ones of the last minute, with readings that come late:
//! `cargo run --release --example patient_monitor`.

use std::time::Duration;

use millstream::connector::iterator;
use millstream::operator::window::sliding;
use millstream::prelude::*;
use millstream::record::hash_key;
use millstream::state::aggregate::{Count, known, last_by, mean, std_dev};
use millstream::time::watermark::BoundedDisorder;

/// One reading of a monitor.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Reading {
    patient: u64,
    at_ms: i64,
    beats: f64,
}

/// Ten hours of three patients, one reading a second each; patient 1 has a seizure at 5:00:00.
/// Every 40th reading comes 5 s late, one comes hours late.
fn readings() -> Vec<Reading> {
    let mut readings = Vec::new();
    for second in 0..36_000u64 {
        for patient in 0..3u64 {
            let noise = (hash_key(&(second * 3 + patient)) % 801) as f64 / 100.0;
            let seizure = if patient == 1 && second == 18_000 { 55.0 } else { 0.0 };
            let beats = 62.0 + patient as f64 * 9.0 + noise + seizure;
            readings.push(Reading { patient, at_ms: second as i64 * 1_000, beats });
        }
    }
    for late in (0..readings.len() - 15).step_by(40) {
        readings[late..late + 15].rotate_left(1);
    }
    let lost = readings.remove(30);
    readings.push(lost);
    readings
}

fn main() -> Result<()> {
    let pipeline = Pipeline::new("patient monitor");
    let disorder = BoundedDisorder::new(Duration::from_secs(6));
    let last = known(last_by(|reading: &Reading| reading.at_ms));
    let beats = |reading: &Reading| reading.beats;
    let alerts = pipeline
        .source(iterator(readings()))
        .assign_timestamps(|reading| reading.at_ms, disorder)
        .key_by(|reading| reading.patient)
        .window(sliding(Duration::from_secs(60), Duration::from_secs(1)))
        .aggregate((Count, known(mean(beats)), std_dev(beats), last))
        .filter_map(|minute| {
            let (count, mean, std_dev, last) = minute.value;
            let z_score = (last.beats - mean) / std_dev?;
            let is_news = last.at_ms + 1_000 == minute.window.end.as_millis();
            (count >= 30 && is_news && z_score.abs() > 4.0).then_some((last, z_score))
        })
        .collect();
    let report = Engine::new(Config::from_env()?)?.run(pipeline)?;
    for (reading, z_score) in alerts.take() {
        let Reading { patient, at_ms, beats } = reading;
        let second = at_ms / 1_000;
        println!("patient {patient} at {second} s: {beats:.0} beats a minute, z = {z_score:.1}");
    }
    println!("{} readings came too late", report.late);
    Ok(())
}
