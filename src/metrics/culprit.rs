//! Who holds the others up: a pure function from loads to the name of one task.

/// How a task spent its time, over all partitions; every field is a share, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskLoad {
    /// The task's name.
    pub name: String,
    /// Time in its own steps.
    pub busy: f64,
    /// Time that whoever feeds it was blocked because its input was full.
    pub input_full: f64,
    /// Time that it was itself blocked on a full output.
    pub output_full: f64,
    /// Time that it waited for the world outside: a sink whose target takes nothing more.
    pub outside: f64,
}

/// Below this share of time a full input is the normal breathing of a lane.
const INPUT_FULL_MIN: f64 = 0.1;
/// Below this the three conditions hardly ever hold together.
const SCORE_MIN: f64 = 0.02;

/// Names the task that back-pressure comes from: the one that is busy (or waits for the world
/// outside) while its input is full and its output is not. `None` if no input is full.
///
/// The three shares are multiplied, which estimates how often they hold together; the task with
/// the largest product is named, the first one among equals.
pub fn culprit(tasks: &[TaskLoad]) -> Option<&str> {
    let mut worst: Option<(&str, f64)> = None;
    for task in tasks {
        if task.input_full < INPUT_FULL_MIN || task.output_full >= task.input_full {
            continue;
        }
        let at_work = (task.busy + task.outside).min(1.0);
        let score = at_work * task.input_full * (1.0 - task.output_full);
        if score >= SCORE_MIN && worst.is_none_or(|(_, highest)| score > highest) {
            worst = Some((&task.name, score));
        }
    }
    worst.map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str, busy: f64, input_full: f64, output_full: f64) -> TaskLoad {
        TaskLoad { name: name.into(), busy, input_full, output_full, outside: 0.0 }
    }

    #[test]
    fn the_slow_task_is_named_not_those_it_holds_up() {
        let tasks = [
            load("source", 0.1, 0.0, 0.9),
            load("parse", 0.1, 0.9, 0.9),
            load("count", 0.99, 0.9, 0.0),
            load("sink", 0.05, 0.0, 0.0),
        ];
        assert_eq!(culprit(&tasks), Some("count"));
    }

    #[test]
    fn a_task_that_is_busy_but_blocked_itself_is_not_the_cause() {
        let tasks = [load("parse", 0.5, 0.6, 0.6), load("join", 0.7, 0.6, 0.1)];
        assert_eq!(culprit(&tasks), Some("join"));
    }

    #[test]
    fn of_two_branches_the_one_whose_input_is_full_is_named() {
        let tasks = [
            load("source", 0.2, 0.0, 0.8),
            load("fast branch", 0.9, 0.05, 0.0),
            load("slow branch", 0.9, 0.8, 0.0),
        ];
        assert_eq!(culprit(&tasks), Some("slow branch"));
    }

    #[test]
    fn nobody_is_named_without_back_pressure() {
        assert_eq!(culprit(&[]), None);
        let busy = [load("source", 1.0, 0.0, 0.0), load("sink", 0.9, 0.02, 0.0)];
        assert_eq!(culprit(&busy), None);
        let idle = [load("sink", 0.0, 0.9, 0.0)];
        assert_eq!(culprit(&idle), None);
    }

    #[test]
    fn a_sink_that_waits_for_its_target_is_named_though_it_is_not_busy() {
        let sink = TaskLoad { outside: 0.95, ..load("file", 0.01, 0.9, 0.0) };
        assert_eq!(culprit(&[load("source", 0.1, 0.0, 0.9), sink]), Some("file"));
    }
}
