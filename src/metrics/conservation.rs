//! Whether anything was lost on its way: what the tasks of a run have counted must add up.

use std::fmt;

use serde::Serialize;

use crate::metrics::report::{Slot, of_task};
use crate::metrics::{JobShape, Tally, TaskMetrics, TaskShape};

/// What was counted at one place against what was counted at the next one:
/// - at a source: read = given to its chain + unread, which are dead letters;
/// - over an edge: sent = received, where a partial aggregate counts as one;
/// - in a task: received = worked off;
/// - at windows and joins: taken = applied + late.
///
/// Only tasks that have come to their end on all partitions are looked at: before that, records are
/// on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Conservation {
    /// How many places were looked at; 0 while the job runs.
    pub checked: u64,
    /// Those where it does not add up; empty if nothing was lost or doubled.
    pub imbalances: Vec<Imbalance>,
}

/// A place where more came than went, or less.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Imbalance {
    /// What was counted where: ``edge `map -> count`: sent, received``.
    pub place: String,
    /// What came.
    pub came: u64,
    /// What has become of it, all ways together.
    pub went: u64,
}

impl Conservation {
    /// Adds up what the partitions published; `None` is one that published nothing.
    pub(super) fn of(shape: &JobShape, partitions: &[Slot]) -> Conservation {
        let mut own = Conservation::default();
        let is_over: Vec<bool> =
            (0..shape.tasks.len()).map(|task| is_over(partitions, task)).collect();
        let sum = |task: usize, count: &dyn Fn(&TaskMetrics) -> u64| -> u64 {
            of_task(partitions, task).map(count).sum()
        };
        let mut sent: Vec<Option<u64>> = vec![None; shape.edges.len()];
        for (index, task) in shape.tasks.iter().enumerate().filter(|(index, _)| is_over[*index]) {
            for (output, &edge) in task.outputs.iter().enumerate() {
                sent[edge] = Some(sum(index, &|one| one.sent_over(output)));
            }
        }
        for (index, task) in shape.tasks.iter().enumerate().filter(|(index, _)| is_over[*index]) {
            let received: Vec<u64> = (0..task.inputs.len())
                .map(|input| sum(index, &|one| one.received_over(input)))
                .collect();
            for (received, &edge) in received.iter().zip(&task.inputs) {
                if let Some(sent) = sent[edge] {
                    let place = || format!("edge `{}`: sent, received", shape.edges[edge]);
                    own.check(place, sent, *received);
                }
            }
            let tally: Tally = of_task(partitions, index).map(TaskMetrics::tally).sum();
            let worked_off = sum(index, &TaskMetrics::records_in);
            own.check_task(task, tally, received.iter().sum(), worked_off);
        }
        own
    }

    fn check_task(&mut self, task: &TaskShape, tally: Tally, received: u64, worked_off: u64) {
        if task.inputs.is_empty() {
            let place = || format!("source `{}`: read, given or unread", task.name);
            self.check(place, tally.read, worked_off + tally.unread);
        } else {
            self.check(
                || format!("task `{}`: received, worked off", task.name),
                received,
                worked_off,
            );
        }
        let known = tally.applied + tally.late;
        if tally.taken > 0 || known > 0 {
            let place = || format!("operator in `{}`: taken, applied or late", task.name);
            self.check(place, tally.taken, known);
        }
    }

    fn check(&mut self, place: impl FnOnce() -> String, came: u64, went: u64) {
        self.checked += 1;
        if came != went {
            self.imbalances.push(Imbalance { place: place(), came, went });
        }
    }
}

/// Whether the task has come to its end on all partitions.
fn is_over(partitions: &[Slot], task: usize) -> bool {
    partitions.iter().all(|slot| slot.as_ref().is_some_and(|one| one.tasks()[task].is_done()))
}

/// A line for people, or one for each place where it does not add up; nothing while the job runs.
impl fmt::Display for Conservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for imbalance in &self.imbalances {
            writeln!(f, "does not add up: {imbalance}")?;
        }
        if self.checked > 0 && self.imbalances.is_empty() {
            writeln!(f, "nothing lost: counts agree at all {} places", self.checked)?;
        }
        Ok(())
    }
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} against {}", self.place, self.came, self.went)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Detail, Registry, RunFacts};

    fn shape() -> JobShape {
        let task = |name: &str, inputs: Vec<usize>, outputs: Vec<usize>| TaskShape {
            name: name.into(),
            inputs,
            outputs,
        };
        JobShape {
            tasks: vec![task("lines", vec![], vec![0, 1]), task("window", vec![0, 1], vec![])],
            edges: vec!["a".into(), "b".into()],
        }
    }

    /// Two partitions: each reads 10, of which 2 cannot be read; 5 go over one edge, 3 over the
    /// other; 1 of the 8 is late. `change` gets the second one's tasks.
    fn run(change: impl Fn(&mut TaskMetrics, &mut TaskMetrics)) -> Conservation {
        let registry = Registry::new(shape(), 2, Detail::Counters);
        for partition in 0..2 {
            let mut source = TaskMetrics::counters(&shape().tasks[0]);
            source.step(8, 8, 1);
            source.add_tally(Tally { read: 10, unread: 2, ..Tally::default() });
            source.add_sent(0, 5);
            source.add_sent(1, 3);
            source.set_done();
            let mut window = TaskMetrics::counters(&shape().tasks[1]);
            window.received(0, 5);
            window.received(1, 3);
            window.step(8, 0, 1);
            window.add_tally(Tally { taken: 8, applied: 7, late: 1, ..Tally::default() });
            window.set_done();
            if partition == 1 {
                change(&mut source, &mut window);
            }
            let mut metrics = registry.open(partition);
            (*metrics.task(0), *metrics.task(1)) = (source, window);
            metrics.finish(1);
        }
        registry.report(RunFacts::default()).conservation
    }

    #[test]
    fn counts_that_agree_are_one_line() {
        let conservation = run(|_, _| {});
        assert_eq!((conservation.checked, &*conservation.imbalances), (5, &[][..]));
        assert_eq!(conservation.to_string(), "nothing lost: counts agree at all 5 places\n");
    }

    #[test]
    fn a_record_lost_or_doubled_anywhere_is_told_with_its_place() {
        type Change = fn(&mut TaskMetrics, &mut TaskMetrics);
        let cases: [(Change, &str); 5] = [
            (
                |source, _| source.add_tally(Tally { read: 1, ..Tally::default() }),
                "does not add up: source `lines`: read, given or unread: 21 against 20\n",
            ),
            (
                |source, _| source.add_sent(1, 1),
                "does not add up: edge `b`: sent, received: 7 against 6\n",
            ),
            (
                |source, window| {
                    source.add_sent(0, 1);
                    window.received(0, 1);
                },
                "does not add up: task `window`: received, worked off: 17 against 16\n",
            ),
            (
                |_, window| {
                    window.add_tally(Tally { taken: 1, ..Tally::default() });
                },
                "does not add up: operator in `window`: taken, applied or late: 17 against 16\n",
            ),
            (
                |_, window| {
                    window.add_tally(Tally { applied: 1, ..Tally::default() });
                },
                "does not add up: operator in `window`: taken, applied or late: 16 against 17\n",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(run(change).to_string(), expected);
        }
    }

    #[test]
    fn tasks_that_are_not_over_everywhere_are_not_looked_at() {
        let registry = Registry::new(shape(), 2, Detail::Counters);
        let mut metrics = registry.open(0);
        metrics.task(0).step(5, 5, 1);
        metrics.task(0).set_done();
        metrics.publish(1);
        assert_eq!(registry.report(RunFacts::default()).conservation, Conservation::default());
        let mut other = registry.open(1);
        other.task(0).set_done();
        other.publish(1);
        let conservation = registry.report(RunFacts::default()).conservation;
        assert_eq!(conservation.checked, 1, "the source, and no edge whose reader still reads");
        assert!(conservation.to_string().contains("source `lines`"));
    }
}
