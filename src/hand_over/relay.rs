//! How marks of moves go through a stage: a keyed task, its head, and all tasks behind it over
//! local edges, on one partition.
//!
//! They go with the records, so each keeps its place among all that the head has emitted. A task
//! with several inputs from the stage sees each mark several times, and passes it on once.

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::exchange::Mark;
use crate::exchange::planted::{Fault, is_planted};
use crate::routing::MoveId;

/// One instance of a stage.
#[derive(Debug)]
pub struct Stage {
    /// Tasks out of which something leaves it: over an exchange, or into a sink.
    exits: usize,
    /// By how many of them, counted for each mark, marks of the head have still to leave it.
    /// Written and read on one thread.
    under_way: AtomicUsize,
}

impl Stage {
    /// A stage that so many tasks lead out of, and no mark in it.
    pub fn new(exits: usize) -> Stage {
        Stage { exits, under_way: AtomicUsize::new(0) }
    }
}

/// The place of a task in one instance of a stage.
#[derive(Clone, Debug)]
pub struct Place {
    /// Index of the domain whose state heads the stage.
    pub domain: usize,
    /// Its inputs from the stage; the head has none.
    pub inputs: usize,
    /// Whether something leaves the stage out of it.
    pub is_exit: bool,
    /// The instance.
    pub stage: Arc<Stage>,
}

/// A mark that has come over some inputs and not over others.
struct Came {
    id: MoveId,
    kind: Discriminant<Mark>,
    inputs: usize,
}

/// What one task does about marks that go through the stages that it is in.
pub struct Relay {
    places: Vec<Place>,
    came: Vec<Came>,
    /// Exits that wait until what has been marked is on all lanes behind the task.
    leaving: Vec<Arc<Stage>>,
}

impl Relay {
    /// That of a task with these places; none if it is in no stage of several tasks.
    pub fn over(places: &[Place]) -> Option<Box<Relay>> {
        let relay = Relay { places: places.to_vec(), came: Vec::new(), leaving: Vec::new() };
        (!places.is_empty()).then(|| Box::new(relay))
    }

    /// The head has put `mark` behind all that it has emitted.
    pub fn enter(&mut self, mark: Mark) {
        let Some(place) = self.places.iter().find(|place| place.inputs == 0) else { return };
        if is_awaited(mark) {
            // Relaxed, as everywhere here: all tasks of a stage are on one thread.
            place.stage.under_way.fetch_add(place.stage.exits, Ordering::Relaxed);
        }
    }

    /// Whether a hold or a release that the head has put is still in the stage.
    pub fn is_under_way(&self) -> bool {
        let heads = |place: &&Place| place.inputs == 0;
        let head = self.places.iter().find(heads);
        head.is_some_and(|place| place.stage.under_way.load(Ordering::Relaxed) > 0)
    }

    /// A mark has come over one of the inputs; whether it goes on now, behind all that the task has
    /// emitted.
    ///
    /// What a branch brings in front of the last hold, or release, is before it; what any brings
    /// behind the first resume is behind it.
    pub fn pass(&mut self, mark: Mark) -> bool {
        let Some((id, domain)) = mark.through_stage() else { return false };
        let place = self.places.iter().find(|place| place.domain == domain);
        let place = place.expect("marks of a stage come over its edges");
        let kind = discriminant(&mark);
        let at = self.came.iter().position(|came| came.id == id && came.kind == kind);
        let at = at.unwrap_or_else(|| {
            self.came.push(Came { id, kind, inputs: 0 });
            self.came.len() - 1
        });
        self.came[at].inputs += 1;
        let is_first = self.came[at].inputs == 1;
        let is_last = self.came[at].inputs == place.inputs;
        if is_last {
            self.came.swap_remove(at);
        }
        let goes_on = if goes_with_first(mark) { is_first } else { is_last };
        if goes_on && place.is_exit && is_awaited(mark) {
            self.leaving.push(Arc::clone(&place.stage));
        }
        goes_on
    }

    /// Everything that has been marked is on the lanes behind the task; whether that is news to the
    /// head of a stage.
    pub fn leave(&mut self) -> bool {
        let is_news = !self.leaving.is_empty();
        for stage in self.leaving.drain(..) {
            stage.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        is_news
    }
}

/// Whether the head waits until the mark has left the stage.
fn is_awaited(mark: Mark) -> bool {
    matches!(mark, Mark::Hold { .. } | Mark::Release { .. })
}

fn goes_with_first(mark: Mark) -> bool {
    match mark {
        Mark::Resume { .. } => !is_planted(Fault::ResumeWithLast),
        Mark::Release { .. } => is_planted(Fault::ReleaseWithFirst),
        Mark::Hold { .. } => is_planted(Fault::HoldWithFirst),
        Mark::Barrier(_) | Mark::Reroute { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESUME: Mark = Mark::Resume { id: 5, domain: 2, donor: 0 };
    const RELEASE: Mark = Mark::Release { id: 5, domain: 2 };

    fn relay(stage: &Arc<Stage>, inputs: usize, is_exit: bool) -> Box<Relay> {
        let place = Place { domain: 2, inputs, is_exit, stage: Arc::clone(stage) };
        Relay::over(&[place]).expect("it has a place")
    }

    #[test]
    fn hold_and_release_go_with_the_last_branch_and_resume_with_the_first() {
        let stage = Arc::new(Stage::new(1));
        let mut union = relay(&stage, 3, true);
        for _ in 0..2 {
            let hold = Mark::hold(4, 2);
            assert_eq!([hold, hold, hold].map(|mark| union.pass(mark)), [false, false, true]);
            assert_eq!([RESUME, RESUME].map(|mark| union.pass(mark)), [true, false]);
            assert_eq!([RELEASE, RELEASE].map(|mark| union.pass(mark)), [false, false]);
            assert!(!union.pass(RESUME) && union.pass(RELEASE));
            assert!(union.came.is_empty(), "nothing is kept of what has gone on");
        }
    }

    #[test]
    fn head_waits_until_hold_and_release_have_left_by_every_exit() {
        let stage = Arc::new(Stage::new(2));
        let mut head = relay(&stage, 0, false);
        let mut exits = [relay(&stage, 1, true), relay(&stage, 1, true)];
        for mark in [Mark::hold(4, 2), RELEASE] {
            head.enter(mark);
            for exit in &mut exits {
                assert!(head.is_under_way());
                assert!(exit.pass(mark) && head.is_under_way(), "not yet on the lanes");
                assert!(exit.leave() && !exit.leave());
            }
            assert!(!head.is_under_way());
        }
        head.enter(RESUME);
        assert!(!head.is_under_way(), "nobody waits for that");
    }

    #[test]
    fn task_that_is_no_exit_passes_marks_on_and_says_nothing() {
        let stage = Arc::new(Stage::new(1));
        let (mut head, mut between) = (relay(&stage, 0, false), relay(&stage, 1, false));
        head.enter(RELEASE);
        assert!(between.pass(RELEASE) && !between.leave() && head.is_under_way());
    }
}
