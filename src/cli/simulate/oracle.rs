//! Whether a simulated job did what a naive model does.
//!
//! Each stage of windows is played again on the model from what its tasks took in, so that what is
//! late is late for both. Where no record is further behind than its watermark allows, the results
//! follow from the records alone, whatever their order, and are compared end to end.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::cli::simulate::job::{AT_WATERMARK, Disorder, Domain, Event, Job, Measure, Stage};
use crate::cli::simulate::tap::{Heard, Said, Tap};
use crate::metrics::{Report, Tally};
use crate::operator::window::model::{Kind, Model};
use crate::operator::window::{Change, Early, Firing, Mode, Taken, Window, Windowed};

/// What is wrong, in a line.
type Checked<T> = std::result::Result<T, String>;

/// A result whose value is a number, and whose key too.
type Numbered = Windowed<u64, i64>;

/// What a window of a key comes to.
type Totals = BTreeMap<(u64, Window), i64>;

/// Checks everything that was heard and counted while `job` ran.
pub(super) fn check(job: &Job, taps: &[Tap], report: &Report) -> Checked<()> {
    let outliers = if job.wall_time.is_some() { job.outliers() } else { 0 };
    same("records too far ahead of the clock", &report.future_skew, &outliers)?;
    let mut sent = job.events();
    let mut known = (job.disorder == Disorder::Within).then(|| sent.clone());
    for (stage, tap) in job.stages.iter().zip(taps) {
        let tally = report.tasks.iter().find(|task| task.name == tap.name).map(|task| task.tally);
        let tally = tally.ok_or_else(|| format!("no task `{}`", tap.name))?;
        let ran = Ran { stage: *stage, tap, tally, said: tap.said.take() };
        known = ran.check(&sent, known).map_err(|what| format!("{stage:?}: {what}"))?;
        sent = ran.said.iter().flatten().map(|said| tap.event_of(&said.result)).collect();
    }
    Ok(())
}

/// What one stage did.
struct Ran<'a> {
    stage: Stage,
    tap: &'a Tap,
    tally: Tally,
    said: Vec<Vec<Said>>,
}

impl Ran<'_> {
    /// Checks it against the records that were sent to it. `known` is what they have to be
    /// whatever their order, if anything; returns the same of its results.
    fn check(&self, sent: &[Event], known: Option<Vec<Event>>) -> Checked<Option<Vec<Event>>> {
        let all_said = || self.said.iter().flatten();
        if let Some(odd) = all_said().find(|one| one.time != one.result.window.last()) {
            return Err(format!("the time of a result is not that of its window: {odd:?}"));
        }
        let taken = self.tally.applied + self.tally.late;
        same("records applied or late", &taken, &(sent.len() as u64))?;
        let may_be_late = match self.stage.domain {
            Domain::Event => sent.iter().filter(|event| !event.is_timely).count() as u64,
            Domain::Processing => 0,
        };
        if self.tally.late > may_be_late {
            return Err(format!("{} late records of {may_be_late} at most", self.tally.late));
        }
        let heard = self.tap.heard.take();
        // Folded records are not to be seen one by one, nor what the clock shows to a task.
        if !heard.iter().flatten().any(|heard| *heard == Heard::Folded) {
            check_arrival(self.stage, sent, &heard)?;
            if !self.stage.hears_the_clock() {
                self.check_replay(&heard)?;
            }
        }
        self.check_counts()?;
        if self.stage.domain == Domain::Processing {
            return Ok(None);
        }
        match known {
            Some(events) => check_totals(self.stage, self.tap, &events, &self.said.concat()),
            None => Ok(None),
        }
    }

    /// Plays what each partition took in on the model, and compares results and late records.
    fn check_replay(&self, heard: &[Vec<Heard>]) -> Checked<()> {
        let (mut applied, mut late) = (0, Vec::new());
        for (partition, (heard, said)) in heard.iter().zip(&self.said).enumerate() {
            let played = Played::of(self.stage, heard)?;
            let mut by_key: BTreeMap<u64, Vec<Numbered>> = BTreeMap::new();
            for one in said {
                by_key.entry(one.result.key).or_default().push(one.result);
            }
            let of = |results: &BTreeMap<u64, Vec<Numbered>>, key| {
                results.get(key).cloned().unwrap_or_default()
            };
            for key in by_key.keys().chain(played.results.keys()) {
                let what = format!("results of key {key} on partition {partition}");
                same_list(&what, &of(&by_key, key), &of(&played.results, key))?;
            }
            applied += played.applied;
            late.extend(played.late);
        }
        same("records applied", &self.tally.applied, &applied)?;
        same("records late", &self.tally.late, &(late.len() as u64))?;
        match &self.tap.late {
            Some(collected) => same_list("late output", &sorted(collected.take()), &sorted(late)),
            None => Ok(()),
        }
    }

    /// Whether each record that was applied is in one window's count, where it is in one only.
    fn check_counts(&self) -> Checked<()> {
        let Stage { kind, rules, measure, .. } = self.stage;
        let is_in_one = match kind {
            Kind::Tumbling { .. } | Kind::Global => true,
            // A session that grows leaves the results of the smaller one behind.
            Kind::Session { .. } => {
                rules.mode != Mode::Accumulating
                    || (rules.early == Early::Never && rules.lateness == 0)
            }
            Kind::Sliding { .. } | Kind::Count { .. } | Kind::Growing => false,
        };
        if !is_in_one || measure != Measure::Count {
            return Ok(());
        }
        let mut counts = Totals::new();
        for Said { result, .. } in self.said.iter().flatten() {
            let count = counts.entry((result.key, result.window)).or_default();
            *count = match (rules.mode, result.change) {
                (Mode::Accumulating, _) => result.value,
                (Mode::Discarding | Mode::Retracting, Change::Insert) => *count + result.value,
                (Mode::Discarding | Mode::Retracting, Change::Retract) => *count - result.value,
            };
        }
        same("records counted", &counts.values().sum(), &(self.tally.applied as i64))
    }
}

/// Whether what was sent is what was heard, each key on one partition.
fn check_arrival(stage: Stage, sent: &[Event], heard: &[Vec<Heard>]) -> Checked<()> {
    let mut owners: BTreeMap<u64, usize> = BTreeMap::new();
    let mut came = Vec::new();
    for (partition, heard) in heard.iter().enumerate() {
        for heard in heard {
            let Heard::Record(event, _) = heard else { continue };
            let key = stage.key_of(event);
            let owner = *owners.entry(key).or_insert(partition);
            if owner != partition {
                return Err(format!("key {key} on partitions {owner} and {partition}"));
            }
            came.push((event.time, event.key, event.value));
        }
    }
    let sent = sent.iter().map(|event| (event.time, event.key, event.value)).collect();
    same_list("records that came", &sorted(came), &sorted(sent))
}

/// What the model makes of the input of one task.
struct Played {
    results: BTreeMap<u64, Vec<Numbered>>,
    applied: u64,
    late: Vec<Event>,
}

impl Played {
    fn of(stage: Stage, heard: &[Heard]) -> Checked<Played> {
        let mut models: BTreeMap<u64, Model> = BTreeMap::new();
        let mut watermark = i64::MIN;
        let (mut applied, mut late) = (0, Vec::new());
        for what in heard {
            let to = match *what {
                Heard::Record(event, time) => {
                    same("time of a record", &time.as_millis(), &event.time)?;
                    if event.is_timely && event.time <= watermark {
                        return Err(format!("behind the watermark {watermark}: {event:?}"));
                    }
                    let model = models
                        .entry(stage.key_of(&event))
                        .or_insert_with(|| Model::new(stage.kind, stage.rules, watermark));
                    match model.record(event.value, event.time) {
                        Taken::Applied => applied += 1,
                        Taken::Late => late.push(event),
                    }
                    continue;
                }
                Heard::Watermark(time) => time.as_millis(),
                Heard::End => i64::MAX,
                Heard::Idle | Heard::Folded => continue,
            };
            if to < watermark {
                return Err(format!("the watermark goes back from {watermark} to {to}"));
            }
            watermark = to;
            models.values_mut().for_each(|model| model.advance_watermark(watermark));
        }
        let results = models.iter_mut().map(|(key, model)| {
            let computed = model.take_results().into_iter();
            (*key, computed.map(|one| measured(stage.measure, *key, one)).collect())
        });
        Ok(Played { results: results.collect(), applied, late })
    }
}

fn measured(measure: Measure, key: u64, one: Windowed<(), Vec<i64>>) -> Numbered {
    let Windowed { key: (), window, firing, index, change, value } = one;
    Windowed { key, window, firing, index, change, value: measure.of(&value) }
}

/// Compares what stands after all results with what follows from `events`; returns that as the
/// records of the next stage, where it does not depend on their order.
fn check_totals(
    stage: Stage,
    tap: &Tap,
    events: &[Event],
    said: &[Said],
) -> Checked<Option<Vec<Event>>> {
    if let Kind::Count { slide, .. } = stage.kind {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for event in events {
            *counts.entry(stage.key_of(event)).or_default() += 1;
        }
        let expected: usize = counts.values().map(|count| count / slide).sum();
        same("windows that were full", &said.len(), &expected)?;
        return Ok(None);
    }
    let expected = totals(stage, events);
    let list = |totals: &Totals| totals.iter().map(|(&of, &value)| (of, value)).collect::<Vec<_>>();
    let seen = standing(stage, said, &expected)?;
    same_list("what stands at the end", &list(&seen), &list(&expected))?;
    let records = expected.iter().map(|(&(key, window), &value)| {
        let (firing, change) = (Firing::OnTime, Change::Insert);
        tap.event_of(&Windowed { key, window, firing, index: 0, change, value })
    });
    Ok(stage.is_orderless().then(|| records.collect()))
}

/// What each window comes to when nothing is late.
fn totals(stage: Stage, events: &[Event]) -> Totals {
    let mut models: BTreeMap<u64, Model> = BTreeMap::new();
    for event in events {
        let model = models.entry(stage.key_of(event));
        let model = model.or_insert_with(|| Model::new(stage.kind, AT_WATERMARK, i64::MIN));
        assert_eq!(model.record(event.value, event.time), Taken::Applied, "no time has passed");
    }
    let mut totals = Totals::new();
    for (key, model) in &mut models {
        model.advance_watermark(i64::MAX);
        let results = model.take_results().into_iter();
        totals.extend(results.map(|one| ((*key, one.window), stage.measure.of(&one.value))));
    }
    totals
}

/// What holds of each window after all its results.
fn standing(stage: Stage, said: &[Said], expected: &Totals) -> Checked<Totals> {
    let mut standing = Totals::new();
    for Said { result, .. } in said {
        let Windowed { key, window, firing, change, value, .. } = *result;
        if firing == Firing::Late {
            return Err(format!("a late result, where no record is late: {result:?}"));
        }
        match (stage.rules.mode, change) {
            // They are parts: of the window, or of the session that it has become a part of.
            (Mode::Discarding, Change::Insert) => {
                let merges = matches!(stage.kind, Kind::Session { .. });
                let place = |(other, whole): &&(u64, Window)| {
                    let is_part = whole.start <= window.start && window.end <= whole.end;
                    *other == key && (*whole == window || (merges && is_part))
                };
                let Some(place) = expected.keys().find(place) else {
                    return Err(format!("a result of no window: {result:?}"));
                };
                let total = standing.entry(*place).or_default();
                *total = total.wrapping_add(value);
            }
            (Mode::Accumulating, Change::Insert) if firing == Firing::Early => {}
            (Mode::Accumulating | Mode::Retracting, Change::Insert) => {
                if let Some(before) = standing.insert((key, window), value) {
                    return Err(format!("beside {before}, which was not retracted: {result:?}"));
                }
            }
            (Mode::Retracting, Change::Retract) => {
                same("what is retracted", &standing.remove(&(key, window)), &Some(value))?;
            }
            (Mode::Discarding | Mode::Accumulating, Change::Retract) => {
                return Err(format!("retracted, where nothing is: {result:?}"));
            }
        }
    }
    Ok(standing)
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all
}

fn same<T: PartialEq + Debug>(what: &str, seen: &T, expected: &T) -> Checked<()> {
    if seen == expected {
        return Ok(());
    }
    Err(format!("{what}: seen {seen:?}, expected {expected:?}"))
}

/// Compares two lists, and tells the first difference.
fn same_list<T: PartialEq + Debug>(what: &str, seen: &[T], expected: &[T]) -> Checked<()> {
    if seen == expected {
        return Ok(());
    }
    let mut places = 0..seen.len().max(expected.len());
    let place = places.find(|place| seen.get(*place) != expected.get(*place)).unwrap_or_default();
    Err(format!(
        "{what}: number {place} of {} is {:?}, expected of {} is {:?}",
        seen.len(),
        seen.get(place),
        expected.len(),
        expected.get(place),
    ))
}
