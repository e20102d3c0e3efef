//! How a report prints: aligned tables for people.

use std::fmt;

use crate::config::wording::shown;
use crate::metrics::{Percentiles, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} records in {:.3} s: {} records/s",
            grouped(self.records),
            self.seconds,
            rate(self.records_per_second)
        )?;
        write_table(f, &self.partition_rows())?;
        write_table(f, &self.task_rows())?;
        let durations = self.duration_rows();
        if durations.len() > 1 {
            write_table(f, &durations)?;
        }
        self.write_notes(f)
    }
}

type Row = Vec<String>;

impl Report {
    fn partition_rows(&self) -> Vec<Row> {
        let mut rows = vec![row([
            "partition",
            "core",
            "records",
            "processed",
            "busy",
            "idle",
            "stalled",
            "switched out",
        ])];
        for (index, one) in self.partitions.iter().enumerate() {
            rows.push(vec![
                index.to_string(),
                one.core.map_or("-".into(), |core| core.to_string()),
                grouped(one.records),
                grouped(one.records_processed),
                percent(one.busy),
                percent(one.idle),
                percent(one.stalled),
                grouped(one.involuntary_switches),
            ]);
        }
        rows
    }

    fn task_rows(&self) -> Vec<Row> {
        let mut rows = vec![row(["task", "in", "out", "busy", "stalled"])];
        for one in &self.tasks {
            rows.push(vec![
                one.name.clone(),
                grouped(one.records_in),
                grouped(one.records_out),
                percent(one.busy),
                percent(one.stalled),
            ]);
        }
        rows
    }

    fn duration_rows(&self) -> Vec<Row> {
        let mut rows = vec![row(["time", "p50", "p90", "p99", "p99.9", "max", "count"])];
        let mut push = |name: String, seen: &Percentiles| {
            if seen.count > 0 {
                let figures = [seen.p50, seen.p90, seen.p99, seen.p999, seen.max].map(duration);
                rows.push([name].into_iter().chain(figures).chain([grouped(seen.count)]).collect());
            }
        };
        push("latency, end to end".into(), &self.latency_ns);
        for edge in &self.edges {
            push(format!("queue wait, {}", edge.name), &edge.queue_wait_ns);
        }
        for task in &self.tasks {
            push(format!("service, {}", task.name), &task.service_ns);
        }
        for task in &self.tasks {
            push(format!("stall, {}", task.name), &task.stall_ns);
        }
        rows
    }

    fn write_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = &self.back_pressure {
            let key = self.back_pressure_key.as_ref();
            let key = key.map_or(String::new(), |key| format!(", key {}", shown(key)));
            writeln!(f, "back-pressure comes from `{task}`{key}")?;
        }
        let counts = [
            (self.dead_letter, "dead letters"),
            (self.late, "late records"),
            (self.future_skew, "records too far ahead of the clock"),
            (self.dropped_timers, "timers dropped at the end"),
            (self.overflow_total, "durations out of range"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            writeln!(f, "{} {what}", grouped(count))?;
        }
        write!(f, "{}", self.conservation)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(str::to_owned).to_vec()
}

/// The first column leans left, all others right; two blanks between, and an empty line before.
pub(crate) fn write_table(f: &mut impl fmt::Write, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    writeln!(f)?;
    for row in rows {
        write!(f, "{:<width$}", row[0], width = widths[0])?;
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            write!(f, "  {cell:>width$}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `12345678` as `12,345,678`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Records per second with four significant figures: `1.234 M`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        big if big >= 1e9 => format!("{:.3} G", big / 1e9),
        big if big >= 1e6 => format!("{:.3} M", big / 1e6),
        big if big >= 1e4 => format!("{:.3} k", big / 1e3),
        small => format!("{small:.1}"),
    }
}

/// Nanoseconds with the unit that keeps the figure short.
pub(crate) fn duration(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::PartitionReport;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let texts = [0, 999, 1_000, 12_345_678].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "12,345,678"]);
    }

    #[test]
    fn durations_and_rates_carry_their_unit() {
        let texts = [0, 9_999, 12_345, 12_345_678, 40_000_000_000].map(duration);
        assert_eq!(texts, ["0 ns", "9999 ns", "12.3 us", "12.3 ms", "40.0 s"]);
        let texts = [12.0, 12_345.0, 2.5e6, 1e9].map(rate);
        assert_eq!(texts, ["12.0", "12.345 k", "2.500 M", "1.000 G"]);
    }

    #[test]
    fn columns_line_up() {
        let partitions = [1, 1_000_000]
            .map(|records| PartitionReport { records, ..PartitionReport::default() })
            .to_vec();
        let report = Report { partitions, ..Report::default() };
        let text = report.to_string();
        let rows: Vec<&str> = text.lines().skip(2).take(3).collect();
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    }
}
