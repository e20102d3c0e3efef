//! `Inputs`: the time of several inputs as one, by minimum.

use crate::time::Timestamp;
use crate::time::watermark::Progress;

/// Merges the time of inputs: splits of a source, lanes of a gate, or inputs of a task.
///
/// The merged watermark is the minimum over the inputs that are neither idle nor ended, and never
/// goes back: an input that comes back below it lets it stand until it has caught up. Where all
/// that have not ended are idle the whole is idle, and its watermark stands; where all have ended
/// it is [`Timestamp::MAX`].
///
/// Each change answers what is to be told downstream, to every lane, before anything else that
/// comes from there.
#[derive(Clone, Debug)]
pub struct Inputs {
    inputs: Vec<Input>,
    active: usize,
    ended: usize,
    merged: Timestamp,
    /// Inputs from here on are holds: they come and go.
    fixed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Input {
    watermark: Timestamp,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Active,
    Idle,
    Ended,
}

impl Inputs {
    /// `count` inputs, all active, of which nothing is known. Without inputs the whole is idle
    /// from the start ([`is_idle`](Self::is_idle)), and that must be told too.
    pub fn new(count: usize) -> Self {
        let input = Input { watermark: Timestamp::MIN, stage: Stage::Active };
        let inputs = vec![input; count];
        Inputs { inputs, active: count, ended: 0, merged: Timestamp::MIN, fixed: count }
    }

    /// Goes on from `watermark`, where other inputs had come to before: time does not go back.
    pub fn go_on_from(&mut self, watermark: Timestamp) {
        self.merged = self.merged.max(watermark);
    }

    /// Holds time back at `watermark`, as one more input would, until that [`end`](Self::end)s;
    /// returns its index. The merged watermark stands where it is already later.
    pub fn hold(&mut self, watermark: Timestamp) -> (usize, Option<Progress>) {
        let held = Input { watermark, stage: Stage::Idle };
        let spent =
            (self.fixed..self.inputs.len()).find(|index| self.inputs[*index].stage == Stage::Ended);
        let index = spent.unwrap_or(self.inputs.len());
        match spent {
            Some(_) => {
                self.inputs[index] = held;
                self.ended -= 1;
            }
            None => self.inputs.push(held),
        }
        (index, self.activate(index))
    }

    /// The merged watermark.
    #[inline]
    pub fn watermark(&self) -> Timestamp {
        self.merged
    }

    /// Whether no input is active although not all have ended, or there is none at all.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.active == 0 && !self.has_ended()
    }

    /// Whether there were inputs and all have ended.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.ended > 0 && self.ended == self.inputs.len()
    }

    /// Input `index` has come to `watermark`, and is active again if it was idle. A watermark
    /// below its last one changes nothing else; [`Timestamp::MAX`] ends it, or an idle input beside
    /// it would be overtaken by all of time.
    #[inline]
    pub fn advance(&mut self, index: usize, watermark: Timestamp) -> Option<Progress> {
        if watermark == Timestamp::MAX {
            return self.end(index);
        }
        let input = &mut self.inputs[index];
        debug_assert_ne!(input.stage, Stage::Ended, "input {index} has ended");
        let before = input.watermark;
        input.watermark = before.max(watermark);
        if input.stage == Stage::Idle {
            return self.activate(index);
        }
        // Only the input that holds the others back can let them go on.
        if before <= self.merged { self.merge() } else { None }
    }

    /// Input `index` gives records again, if it was idle. Must be told downstream before them, or
    /// time goes on without the input.
    #[inline]
    pub fn set_active(&mut self, index: usize) -> Option<Progress> {
        match self.inputs[index].stage {
            Stage::Idle => self.activate(index),
            Stage::Active | Stage::Ended => None,
        }
    }

    /// Input `index` gives nothing for now; the others no longer wait for it.
    pub fn set_idle(&mut self, index: usize) -> Option<Progress> {
        match self.inputs[index].stage {
            Stage::Active => self.leave(index, Stage::Idle),
            Stage::Idle | Stage::Ended => None,
        }
    }

    /// Input `index` gives nothing any more. Ending it once more changes nothing.
    pub fn end(&mut self, index: usize) -> Option<Progress> {
        match self.inputs[index].stage {
            Stage::Active => {
                self.ended += 1;
                self.leave(index, Stage::Ended)
            }
            Stage::Idle => {
                self.ended += 1;
                self.inputs[index].stage = Stage::Ended;
                if self.has_ended() { self.merge() } else { None }
            }
            Stage::Ended => None,
        }
    }

    fn activate(&mut self, index: usize) -> Option<Progress> {
        let was_idle = self.is_idle();
        self.inputs[index].stage = Stage::Active;
        self.active += 1;
        let progress = self.merge();
        if was_idle { Some(Progress::Watermark(self.merged)) } else { progress }
    }

    fn leave(&mut self, index: usize, stage: Stage) -> Option<Progress> {
        self.inputs[index].stage = stage;
        self.active -= 1;
        if self.is_idle() { Some(Progress::Idle) } else { self.merge() }
    }

    /// Raises the merged watermark as far as the inputs allow; at least one is active, or all have
    /// ended.
    fn merge(&mut self) -> Option<Progress> {
        let least = self.active_watermarks().min().unwrap_or(Timestamp::MAX);
        let is_later = least > self.merged;
        self.merged = self.merged.max(least);
        is_later.then_some(Progress::Watermark(self.merged))
    }

    fn active_watermarks(&self) -> impl Iterator<Item = Timestamp> {
        let active = self.inputs.iter().filter(|input| input.stage == Stage::Active);
        active.map(|input| input.watermark)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watermark(millis: i64) -> Option<Progress> {
        Some(Progress::Watermark(millis.into()))
    }

    /// Two inputs at 10 and 20.
    fn two() -> Inputs {
        let mut inputs = Inputs::new(2);
        assert_eq!(inputs.advance(0, 10.into()), None);
        assert_eq!(inputs.advance(1, 20.into()), watermark(10));
        inputs
    }

    #[test]
    fn merged_watermark_is_the_minimum() {
        let mut inputs = two();
        assert_eq!(inputs.advance(1, 30.into()), None);
        assert_eq!(inputs.advance(0, 5.into()), None);
        assert_eq!(inputs.advance(0, 25.into()), watermark(25));
        assert_eq!(inputs.advance(0, 40.into()), watermark(30));
    }

    #[test]
    fn idle_input_neither_holds_back_nor_moves_time_back_when_it_returns() {
        let mut inputs = two();
        assert_eq!(inputs.set_idle(0), watermark(20));
        assert_eq!(inputs.set_idle(0), None);
        assert_eq!(inputs.set_active(0), None);
        assert_eq!(inputs.advance(1, 50.into()), None);
        assert_eq!(inputs.advance(0, 15.into()), None);
        assert_eq!(inputs.watermark(), 20.into());
        assert_eq!(inputs.advance(0, 30.into()), watermark(30));
    }

    #[test]
    fn all_idle_is_idle_and_never_the_maximum() {
        let mut inputs = two();
        assert_eq!(inputs.set_idle(1), None);
        assert_eq!(inputs.set_idle(0), Some(Progress::Idle));
        assert!(inputs.is_idle());
        assert_eq!(inputs.watermark(), 10.into());
    }

    #[test]
    fn going_active_again_is_told_although_time_stands() {
        let mut inputs = two();
        inputs.set_idle(1);
        inputs.set_idle(0);
        assert_eq!(inputs.set_active(1), watermark(20));
        assert_eq!(inputs.set_idle(1), Some(Progress::Idle));
        assert_eq!(inputs.advance(0, 1.into()), watermark(20));
        assert_eq!(inputs.set_active(1), None);
    }

    #[test]
    fn ended_input_holds_nothing_and_the_last_end_is_the_maximum() {
        let mut inputs = two();
        assert_eq!(inputs.end(0), watermark(20));
        assert_eq!(inputs.end(0), None);
        assert_eq!(inputs.set_idle(1), Some(Progress::Idle));
        assert_eq!(inputs.end(1), watermark(i64::MAX));
        assert!(inputs.has_ended() && !inputs.is_idle());
    }

    #[test]
    fn ended_beside_idle_is_idle() {
        let mut inputs = two();
        assert_eq!(inputs.set_idle(0), watermark(20));
        assert_eq!(inputs.end(1), Some(Progress::Idle));
        assert!(inputs.is_idle());
        assert_eq!(inputs.watermark(), 20.into());
    }

    #[test]
    fn maximum_of_one_input_does_not_overtake_an_idle_one() {
        let mut inputs = two();
        inputs.set_idle(0);
        assert_eq!(inputs.advance(1, Timestamp::MAX), Some(Progress::Idle));
        assert_eq!(inputs.end(1), None);
        assert_eq!(inputs.advance(0, 30.into()), watermark(30));
        assert_eq!(inputs.end(0), watermark(i64::MAX));
    }

    #[test]
    fn hold_keeps_time_where_it_is_until_it_ends() {
        let mut inputs = two();
        let (first, told) = inputs.hold(12.into());
        assert_eq!(told, None);
        assert_eq!(inputs.advance(0, 30.into()), watermark(12));
        let (second, told) = inputs.hold(5.into());
        assert_eq!(told, None, "time does not go back");
        assert_eq!(inputs.end(first), None);
        assert_eq!(inputs.end(second), watermark(20));
        let (third, _) = inputs.hold(21.into());
        assert!(third == first || third == second, "places are used again");
        assert_eq!(inputs.end(third), None);
        assert_eq!(inputs.end(0), None);
        assert_eq!(inputs.end(1), watermark(i64::MAX));
    }

    #[test]
    fn hold_keeps_idle_inputs_from_being_idle() {
        let mut inputs = two();
        inputs.set_idle(0);
        assert_eq!(inputs.set_idle(1), Some(Progress::Idle));
        let (hold, told) = inputs.hold(3.into());
        assert_eq!(told, watermark(20));
        assert_eq!(inputs.end(hold), Some(Progress::Idle));
    }

    #[test]
    fn no_inputs_are_idle_at_once() {
        let inputs = Inputs::new(0);
        assert!(inputs.is_idle() && !inputs.has_ended());
        assert_eq!(inputs.watermark(), Timestamp::MIN);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Advance(usize, i64),
        SetActive(usize),
        SetIdle(usize),
        End(usize),
    }

    fn steps(inputs: usize) -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            30 => (0..inputs, 0..100i64).prop_map(|(i, at)| Step::Advance(i, at)),
            3 => (0..inputs).prop_map(Step::SetActive),
            6 => (0..inputs).prop_map(Step::SetIdle),
            1 => (0..inputs).prop_map(Step::End),
        ];
        prop::collection::vec(step, 1..80)
    }

    /// What was last said of an input: its watermark, and whether it is active; `None`: ended.
    type Said = Option<(i64, bool)>;

    fn change(said: &mut Said, step: Step) {
        let Some((at, is_active)) = said else { return };
        match step {
            Step::Advance(_, to) => (*at, *is_active) = ((*at).max(to), true),
            Step::SetActive(_) => *is_active = true,
            Step::SetIdle(_) => *is_active = false,
            Step::End(_) => *said = None,
        }
    }

    /// Whether the whole has active inputs, is idle, or has ended, recomputed from scratch, and
    /// its least watermark.
    fn recompute(said: &[Said]) -> (Stage, i64) {
        let active = said.iter().flatten().filter(|said| said.1).map(|said| said.0);
        match active.min() {
            Some(least) => (Stage::Active, least),
            None if said.iter().any(Option::is_some) => (Stage::Idle, i64::MIN),
            None => (Stage::Ended, i64::MAX),
        }
    }

    proptest! {
        #[test]
        fn any_sequence_agrees_with_recomputing_from_scratch(
            (count, steps) in (1..6usize).prop_flat_map(|count| (Just(count), steps(count)))
        ) {
            let mut inputs = Inputs::new(count);
            let mut said: Vec<Said> = vec![Some((i64::MIN, true)); count];
            let (mut stage, mut merged) = (Stage::Active, i64::MIN);
            for step in steps {
                let (Step::Advance(i, _) | Step::SetActive(i) | Step::SetIdle(i) | Step::End(i)) =
                    step;
                if said[i].is_none() && matches!(step, Step::Advance(..)) {
                    continue;
                }
                change(&mut said[i], step);
                let answer = match step {
                    Step::Advance(i, at) => inputs.advance(i, at.into()),
                    Step::SetActive(i) => inputs.set_active(i),
                    Step::SetIdle(i) => inputs.set_idle(i),
                    Step::End(i) => inputs.end(i),
                };
                let (stage_now, least) = recompute(&said);
                let merged_now = merged.max(least);
                let returns = stage == Stage::Idle && stage_now == Stage::Active;
                let expected = if stage_now == Stage::Idle {
                    (stage != Stage::Idle).then_some(Progress::Idle)
                } else {
                    (returns || merged_now > merged)
                        .then_some(Progress::Watermark(merged_now.into()))
                };
                prop_assert_eq!(answer, expected, "after {:?}", step);
                (stage, merged) = (stage_now, merged_now);
                prop_assert_eq!(inputs.watermark(), Timestamp::from(merged));
                prop_assert_eq!(inputs.is_idle(), stage == Stage::Idle);
                prop_assert_eq!(inputs.has_ended(), stage == Stage::Ended);
            }
        }
    }
}
