//! Who holds the others up: a pure function from loads to the name of a task, or of one key of it.

/// How a task spent its time. Shares are 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskLoad {
    /// The task's name.
    pub name: String,
    /// `instances[p]` is the one on partition *p*.
    pub instances: Vec<InstanceLoad>,
    /// The tasks that feed it, by their indexes, which are smaller than its own.
    pub feeders: Vec<usize>,
    /// The largest share of a partition's time that one of them was blocked there because the
    /// input of this task was full.
    pub input_full: f64,
    /// Its hottest keys, as far as they are known; any order.
    pub keys: Vec<HotKey>,
}

/// How a task spent the time of one partition; every field is a share of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InstanceLoad {
    /// Time in its own steps.
    pub busy: f64,
    /// Time that it was itself blocked on a full output.
    pub output_full: f64,
    /// Time that it waited for the world outside: a sink whose target takes nothing more.
    pub outside: f64,
}

/// What one key takes of the partition that owns it.
#[derive(Clone, Debug, PartialEq)]
pub struct HotKey {
    /// The key's name, or its hash.
    pub name: String,
    /// The partition that owns it.
    pub partition: usize,
    /// Its share of what the task has to do there.
    pub share: f64,
}

/// Where back-pressure comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// The task's name.
    pub task: String,
    /// The key that makes it slow on one partition; `None` if it is the task as such.
    pub key: Option<String>,
}

/// Below this share of time a full input is the normal breathing of a lane.
const INPUT_FULL_MIN: f64 = 0.1;
/// Below this the three conditions hardly ever hold together.
const SCORE_MIN: f64 = 0.02;
/// What a full input elsewhere upstream counts. The tasks of a partition share its thread, so that
/// one which takes all the time starves those before it and need not have a full input itself; but
/// of two that are as busy, the one with the full input is the slow one.
const UPSTREAM: f64 = 0.75;
/// A key that takes more than this of its partition's load is why that partition is behind.
const KEY_SHARE_MIN: f64 = 0.5;
/// So many times as much as the others do on average a partition does whose load is its own: with
/// a key that takes more than half of it, and alike otherwise, it does at least twice as much.
const UNEQUAL_MIN: f64 = 1.5;

/// Names the task that back-pressure comes from: the one that is busy (or waits for the world
/// outside) while its input is full, or one upstream, and its output is not. `None` if no
/// input is full. If it is so on one partition, because most of the work there is for one key, it
/// names the key as well.
///
/// The three shares are multiplied, which estimates how often they hold together; the task with
/// the largest product on one partition is named, the first one among equals.
pub fn culprit(tasks: &[TaskLoad]) -> Option<Culprit> {
    let mut worst: Option<(&TaskLoad, usize, f64)> = None;
    for (task, pressed) in tasks.iter().zip(pressed(tasks)) {
        for (partition, load) in task.instances.iter().enumerate() {
            let score = load.at_work() * pressed * (1.0 - load.output_full);
            if score >= SCORE_MIN && worst.is_none_or(|(_, _, highest)| score > highest) {
                worst = Some((task, partition, score));
            }
        }
    }
    let (task, partition, _) = worst?;
    Some(Culprit { task: task.name.clone(), key: task.hot_key(partition).map(str::to_owned) })
}

/// For each task, how much those upstream of it wait for room: in its input, or anywhere.
fn pressed(tasks: &[TaskLoad]) -> Vec<f64> {
    let mut blocked: Vec<f64> = Vec::with_capacity(tasks.len());
    for task in tasks {
        let of_feeder = |&feeder: &usize| blocked[feeder].max(tasks[feeder].output_full());
        blocked.push(task.feeders.iter().map(of_feeder).fold(0.0, f64::max));
    }
    let pressed = |(task, blocked): (&TaskLoad, f64)| task.input_full.max(UPSTREAM * blocked);
    let full = |pressed| if pressed < INPUT_FULL_MIN { 0.0 } else { pressed };
    tasks.iter().zip(blocked).map(pressed).map(full).collect()
}

impl InstanceLoad {
    fn at_work(&self) -> f64 {
        (self.busy + self.outside).min(1.0)
    }
}

impl TaskLoad {
    fn output_full(&self) -> f64 {
        self.instances.iter().map(|load| load.output_full).fold(0.0, f64::max)
    }

    /// The key that most of the work on `partition` is for, if the others have less to do.
    fn hot_key(&self, partition: usize) -> Option<&str> {
        let is_why = |key: &&HotKey| key.partition == partition && key.share > KEY_SHARE_MIN;
        let key = self.keys.iter().find(is_why)?;
        let own = self.instances[partition].at_work();
        let all: f64 = self.instances.iter().map(InstanceLoad::at_work).sum();
        let others = self.instances.len() - 1;
        (own * others as f64 >= UNEQUAL_MIN * (all - own)).then_some(&key.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str, busy: f64, input_full: f64, output_full: f64) -> TaskLoad {
        let instances = vec![InstanceLoad { busy, output_full, outside: 0.0 }];
        TaskLoad { name: name.into(), instances, feeders: Vec::new(), input_full, keys: Vec::new() }
    }

    fn named(tasks: &[TaskLoad]) -> Option<String> {
        culprit(tasks).map(|culprit| culprit.task)
    }

    #[test]
    fn the_slow_task_is_named_not_those_it_holds_up() {
        let tasks = [
            load("source", 0.1, 0.0, 0.9),
            load("parse", 0.1, 0.9, 0.9),
            load("count", 0.99, 0.9, 0.0),
            load("sink", 0.05, 0.0, 0.0),
        ];
        assert_eq!(named(&tasks).as_deref(), Some("count"));
    }

    #[test]
    fn a_task_that_is_busy_but_blocked_itself_is_not_the_cause() {
        let tasks = [load("parse", 0.5, 0.6, 0.6), load("join", 0.7, 0.6, 0.1)];
        assert_eq!(named(&tasks).as_deref(), Some("join"));
    }

    #[test]
    fn a_full_input_further_up_counts_less_than_one_s_own() {
        let behind = |feeder, load| TaskLoad { feeders: vec![feeder], ..load };
        let tasks = [
            load("source", 0.02, 0.0, 0.9),
            behind(0, load("parse", 0.1, 0.9, 0.0)),
            behind(1, load("count", 0.8, 0.05, 0.0)),
            behind(1, load("rank", 0.78, 0.7, 0.0)),
        ];
        assert_eq!(named(&tasks[..3]).as_deref(), Some("count"));
        assert_eq!(named(&tasks).as_deref(), Some("rank"));
    }

    #[test]
    fn nobody_is_named_without_back_pressure() {
        assert_eq!(culprit(&[]), None);
        let busy = [load("source", 1.0, 0.0, 0.0), load("sink", 0.9, 0.02, 0.0)];
        assert_eq!(culprit(&busy), None);
        let idle = [load("sink", 0.0, 0.9, 0.0)];
        assert_eq!(culprit(&idle), None);
    }

    /// A keyed task whose instances have these shares, and one key on partition 0.
    fn keyed<const P: usize>(busy: [f64; P], share: f64) -> Option<Culprit> {
        let one = |busy| InstanceLoad { busy, ..InstanceLoad::default() };
        culprit(&[TaskLoad {
            name: "count".into(),
            instances: busy.map(one).to_vec(),
            feeders: Vec::new(),
            input_full: 0.9,
            keys: vec![HotKey { name: "\"x\"".into(), partition: 0, share }],
        }])
    }

    #[test]
    fn a_key_is_named_where_it_alone_makes_its_partition_slow() {
        let key = |busy, share| keyed::<3>(busy, share).expect("it is slow").key;
        assert_eq!(key([0.95, 0.4, 0.5], 0.6).as_deref(), Some("\"x\""));
        assert_eq!(key([0.95, 0.4, 0.5], 0.5), None, "half of it is others");
        assert_eq!(key([0.95, 0.7, 0.7], 0.6), None, "all are as slow");
        assert_eq!(key([0.5, 0.95, 0.2], 0.9), None, "another partition is slow");
        let alone = keyed([0.95], 0.9).expect("it is slow").key;
        assert_eq!(alone.as_deref(), Some("\"x\""), "nobody else to compare with");
    }
}
