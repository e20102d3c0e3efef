//! Two gates as one input: what a task reads whose records come of two types.

use crate::dataflow::input::{Input, Intake};
use crate::dataflow::plan::{BuildContext, Wires};
use crate::dataflow::stream::Head;
use crate::dataflow::{Lanes, NoSource, Polled, TimeDomain};
use crate::exchange::{Arrival, Gate};
use crate::record::{Batch, Either, Never};
use crate::time::Timestamp;
use crate::time::watermark::{Inputs, Progress};

/// Whose event time counts where two inputs meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeOf {
    /// The minimum over both, as everywhere.
    Both,
    /// The left one's: the right one belongs to no time domain.
    Left,
}

/// Reads two gates in turn. Each has its own record type on its lanes; a record is wrapped as it is
/// read.
///
/// * `D`, `E` - the time domains of left and right; what is read is of the left one's.
pub(super) struct TwoInputs<L: Send + 'static, R: Send + 'static, D: TimeDomain, E: TimeDomain> {
    left: Side<D::Row<L>>,
    right: Side<E::Row<R>>,
    /// Event time of each side, as far as it counts.
    inputs: Inputs,
    time_of: TimeOf,
    /// The side to ask first, so that neither starves.
    next: usize,
    in_hand: usize,
}

/// One gate, and the batch of it that has been read.
struct Side<T> {
    gate: Gate<T>,
    batch: Batch<T>,
    has_ended: bool,
}

impl<T> Side<T> {
    fn new(gate: Gate<T>) -> Self {
        Side { gate, batch: Batch::new(), has_ended: false }
    }

    /// Moves the next batch, each record wrapped, into `batch`, which is empty.
    fn next<U, P>(&mut self, batch: &mut Batch<U, P>, wrap: impl Fn(T) -> U) -> Arrival {
        let arrival = self.gate.next(&mut self.batch);
        if arrival == Arrival::Batch {
            batch.intake = self.batch.intake;
            batch.sent = self.batch.sent;
            batch.records.extend(self.batch.records.drain(..).map(wrap));
        }
        arrival
    }
}

impl<L, R, D, E> TwoInputs<L, R, D, E>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
    E: TimeDomain,
{
    fn new(left: Gate<D::Row<L>>, right: Gate<E::Row<R>>, time_of: TimeOf) -> Self {
        let timed = match time_of {
            TimeOf::Both => 2,
            TimeOf::Left => 1,
        };
        TwoInputs {
            left: Side::new(left),
            right: Side::new(right),
            inputs: Inputs::new(timed),
            time_of,
            next: 0,
            in_hand: 0,
        }
    }

    /// What `side` has to give or to tell; `None` if that is nothing.
    fn ask<P>(
        &mut self,
        side: usize,
        batch: &mut Batch<D::Row<Either<L, R>>, P>,
    ) -> Option<Intake> {
        loop {
            let arrival = if side == 0 {
                self.left.next(batch, |row| {
                    let meta = D::meta(&row);
                    D::row(Either::Left(D::into_record(row)), meta)
                })
            } else {
                self.right.next(batch, |row| {
                    let meta = E::meta(&row);
                    D::row(Either::Right(E::into_record(row)), meta)
                })
            };
            let told = match arrival {
                Arrival::Batch => {
                    self.in_hand = side;
                    self.next = 1 - side;
                    return Some(Intake::Batch);
                }
                Arrival::Nothing => return None,
                Arrival::Ended => return self.end(side).map(Intake::Progress),
                Arrival::Progress(progress) => self.tell(side, progress),
            };
            // What does not move both together is no reason to leave records behind it.
            if let Some(progress) = told {
                return Some(Intake::Progress(progress));
            }
        }
    }

    /// What follows for both from what one of them tells.
    fn tell(&mut self, side: usize, progress: Progress) -> Option<Progress> {
        if side == 1 && self.time_of == TimeOf::Left {
            return None;
        }
        match progress {
            Progress::Watermark(time) => self.inputs.advance(side, time),
            Progress::Idle => self.inputs.set_idle(side),
        }
    }

    fn end(&mut self, side: usize) -> Option<Progress> {
        let has_ended =
            if side == 0 { &mut self.left.has_ended } else { &mut self.right.has_ended };
        if std::mem::replace(has_ended, true) || (side == 1 && self.time_of == TimeOf::Left) {
            return None;
        }
        // The end of all is told as the end.
        self.inputs.end(side).filter(|told| *told != Progress::Watermark(Timestamp::MAX))
    }
}

impl<L, R, D, E, P> Lanes<D::Row<Either<L, R>>, P> for TwoInputs<L, R, D, E>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
    E: TimeDomain,
    P: Send,
{
    fn next(&mut self, batch: &mut Batch<D::Row<Either<L, R>>, P>) -> Intake {
        debug_assert!(batch.is_empty(), "the task has worked off what it had");
        let first = self.next;
        for side in [first, 1 - first] {
            if let Some(intake) = self.ask(side, batch) {
                return intake;
            }
        }
        let is_over = self.left.has_ended && self.right.has_ended;
        Intake::Nothing(if is_over { Polled::Done } else { Polled::Pending })
    }

    fn edge_in_hand(&self) -> usize {
        self.in_hand
    }
}

/// A head that reads the lanes of `left` and of `right`.
pub(super) fn two_gates_head<L, R, D, E, P>(
    left: Wires<D::Row<L>, Never>,
    right: Wires<E::Row<R>, Never>,
    time_of: TimeOf,
) -> Head<D::Row<Either<L, R>>, P, NoSource>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
    E: TimeDomain,
    P: Send + 'static,
{
    Box::new(move |context: &BuildContext<'_>| {
        let left = Gate::new(left.receivers(context));
        let right = Gate::new(right.receivers(context));
        Ok(Input::Lanes(Box::new(TwoInputs::<L, R, D, E>::new(left, right, time_of))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::Untimed;
    use crate::exchange::lane::{LaneSender, lane};

    type Inputs2 = TwoInputs<u32, char, Untimed, Untimed>;
    type Read = Either<u32, char>;

    fn two(time_of: TimeOf) -> (LaneSender<u32>, LaneSender<char>, Inputs2) {
        let (numbers, left) = lane(8, None, None);
        let (letters, right) = lane(8, None, None);
        (numbers, letters, TwoInputs::new(Gate::new(vec![left]), Gate::new(vec![right]), time_of))
    }

    fn send<T: std::fmt::Debug>(lane: &mut LaneSender<T>, records: impl IntoIterator<Item = T>) {
        say(lane, records, None, false);
    }

    fn say<T: std::fmt::Debug>(
        lane: &mut LaneSender<T>,
        records: impl IntoIterator<Item = T>,
        watermark: Option<i64>,
        goes_idle: bool,
    ) {
        let mut batch = lane.take_spare().unwrap_or_default();
        batch.records.extend(records);
        batch.watermark = watermark.map(Timestamp::from_millis);
        batch.goes_idle = goes_idle;
        batch.sent = 7;
        lane.try_send(batch).expect("there is room");
    }

    /// Everything up to the next time that there is nothing: records as they are, time as it is
    /// told.
    fn read(inputs: &mut Inputs2) -> (Vec<String>, Polled) {
        let mut batch: Batch<Read> = Batch::new();
        let mut seen = Vec::new();
        loop {
            match Lanes::<Read, Never>::next(inputs, &mut batch) {
                Intake::Batch => {
                    let edge = Lanes::<Read, Never>::edge_in_hand(inputs);
                    assert_eq!(batch.sent, 7);
                    for record in batch.records.drain(..) {
                        let (text, side) = match record {
                            Either::Left(number) => (number.to_string(), 0),
                            Either::Right(letter) => (letter.to_string(), 1),
                        };
                        assert_eq!(edge, side, "{text} is told by its edge");
                        seen.push(text);
                    }
                }
                Intake::Progress(Progress::Watermark(time)) => seen.push(format!("{time}")),
                Intake::Progress(Progress::Idle) => seen.push("idle".to_owned()),
                Intake::Nothing(polled) => return (seen, polled),
            }
        }
    }

    fn told(inputs: &mut Inputs2) -> Vec<String> {
        let (seen, polled) = read(inputs);
        assert_eq!(polled, Polled::Pending);
        seen
    }

    #[test]
    fn sides_take_turns_and_each_keeps_its_order() {
        let (mut numbers, mut letters, mut inputs) = two(TimeOf::Both);
        send(&mut numbers, [1, 2]);
        send(&mut numbers, [3]);
        send(&mut numbers, [4]);
        send(&mut letters, ['a']);
        send(&mut letters, ['b', 'c']);
        assert_eq!(told(&mut inputs), ["1", "2", "a", "3", "b", "c", "4"]);
        send(&mut letters, ['d']);
        assert_eq!(told(&mut inputs), ["d"]);
    }

    #[test]
    fn time_is_the_minimum_and_follows_the_records_it_speaks_of() {
        let (mut numbers, mut letters, mut inputs) = two(TimeOf::Both);
        say(&mut numbers, [1], Some(10), false);
        assert_eq!(told(&mut inputs), ["1"], "the other side holds it back");
        say(&mut letters, ['a'], Some(5), false);
        assert_eq!(told(&mut inputs), ["a", "5 ms"]);
        // A side's news that moves nothing does not hide what follows it.
        say(&mut numbers, [], Some(20), false);
        say(&mut numbers, [2], Some(30), false);
        assert_eq!(told(&mut inputs), ["2"]);
        say(&mut letters, [], Some(25), false);
        assert_eq!(told(&mut inputs), ["25 ms"]);
    }

    #[test]
    fn idle_side_holds_nothing_back_and_both_idle_are_told_once() {
        let (mut numbers, mut letters, mut inputs) = two(TimeOf::Both);
        say(&mut numbers, [1], Some(10), false);
        say(&mut letters, [], None, true);
        assert_eq!(told(&mut inputs), ["1", "10 ms"]);
        say(&mut numbers, [], None, true);
        assert_eq!(told(&mut inputs), ["idle"]);
        // Back again: told before the record, or time goes on without the side.
        say(&mut letters, ['a'], Some(3), false);
        assert_eq!(told(&mut inputs), ["10 ms", "a"]);
        say(&mut letters, [], Some(12), false);
        assert_eq!(told(&mut inputs), ["12 ms"]);
    }

    #[test]
    fn ended_side_holds_nothing_back_and_the_last_end_is_the_end() {
        let (mut numbers, mut letters, mut inputs) = two(TimeOf::Both);
        say(&mut numbers, [1], Some(10), false);
        say(&mut letters, ['a'], Some(2), false);
        assert!(letters.try_end());
        assert_eq!(told(&mut inputs), ["1", "a", "2 ms", "10 ms"]);
        say(&mut numbers, [2], Some(20), false);
        assert!(numbers.try_end());
        assert_eq!(
            read(&mut inputs),
            (vec!["2".to_owned(), "20 ms".to_owned()], Polled::Done),
            "the end stands for the last watermark"
        );
        assert_eq!(read(&mut inputs), (vec![], Polled::Done));
    }

    #[test]
    fn idle_beside_ended_is_idle() {
        let (mut numbers, mut letters, mut inputs) = two(TimeOf::Both);
        say(&mut letters, [], None, true);
        assert!(numbers.try_end());
        assert_eq!(told(&mut inputs), ["idle"]);
        assert!(letters.try_end());
        assert_eq!(read(&mut inputs), (vec![], Polled::Done));
    }

    #[test]
    fn side_without_a_say_in_time_neither_moves_it_nor_holds_it_back() {
        let (mut numbers, mut letters, mut inputs) = two(TimeOf::Left);
        say(&mut letters, ['a'], Some(99), true);
        say(&mut numbers, [1], Some(10), false);
        assert_eq!(told(&mut inputs), ["1", "a", "10 ms"]);
        assert!(numbers.try_end());
        assert_eq!(told(&mut inputs), [""; 0], "rows may still come");
        send(&mut letters, ['b']);
        assert!(letters.try_end());
        assert_eq!(read(&mut inputs), (vec!["b".to_owned()], Polled::Done));
    }

    #[test]
    fn buffers_go_home_to_the_lane_they_came_from() {
        let (mut numbers, mut letters, mut inputs) = two(TimeOf::Both);
        send(&mut numbers, [1]);
        send(&mut letters, ['a']);
        told(&mut inputs);
        send(&mut numbers, [2]);
        send(&mut letters, ['b']);
        told(&mut inputs);
        assert!(numbers.take_spare().is_some() && letters.take_spare().is_some());
    }
}
