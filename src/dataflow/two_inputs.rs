//! Lanes of two record types as one input: what a task reads whose records come of two streams.

use crate::dataflow::head::{Head, pass_local_marks};
use crate::dataflow::input::Input;
use crate::dataflow::plan::{BuildContext, Wires};
use crate::dataflow::{NoSource, TimeDomain};
use crate::exchange::{EdgeTime, Gate, LaneReceiver, Message, Receive};
use crate::record::{Batch, Either, Never};

/// A lane of either stream. Each keeps its own record type on its lanes; a record is wrapped as it
/// is read, and the emptied buffer goes home at once.
///
/// * `D`, `E` - the time domains of left and right; what is read is of the left one's.
pub(super) enum EitherLane<L, R, D, E, P>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
    E: TimeDomain,
{
    Left(LaneReceiver<D::Row<L>>, Spare<L, R, D, P>),
    Right(LaneReceiver<E::Row<R>>, Spare<L, R, D, P>),
}

/// A buffer of wrapped records that has been worked off.
type Spare<L, R, D, P> = Option<Batch<<D as TimeDomain>::Row<Either<L, R>>, P>>;

/// Takes the next message of `lane`, each of its records wrapped, into `spare`.
fn wrapped<T, U, P>(
    lane: &mut LaneReceiver<T>,
    spare: &mut Option<Batch<U, P>>,
    wrap: impl Fn(T) -> U,
) -> Option<Message<U, P>> {
    let mut batch = match lane.try_recv()? {
        Message::Batch(batch) => batch,
        Message::Mark(mark) => return Some(Message::Mark(mark)),
        Message::End => return Some(Message::End),
    };
    let mut read = spare.take().unwrap_or_default();
    (read.intake, read.sent) = (batch.intake, batch.sent);
    (read.watermark, read.goes_idle) = (batch.watermark, batch.goes_idle);
    read.records.extend(batch.records.drain(..).map(wrap));
    lane.give_back(batch);
    Some(Message::Batch(read))
}

impl<L, R, D, E, P> Receive<D::Row<Either<L, R>>, P> for EitherLane<L, R, D, E, P>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
    E: TimeDomain,
{
    fn try_recv(&mut self) -> Option<Message<D::Row<Either<L, R>>, P>> {
        match self {
            EitherLane::Left(lane, spare) => wrapped(lane, spare, |row| {
                let meta = D::meta(&row);
                D::row(Either::Left(D::into_record(row)), meta)
            }),
            EitherLane::Right(lane, spare) => wrapped(lane, spare, |row| {
                let meta = E::meta(&row);
                D::row(Either::Right(E::into_record(row)), meta)
            }),
        }
    }

    fn give_back(&mut self, mut batch: Batch<D::Row<Either<L, R>>, P>) {
        batch.clear();
        let (EitherLane::Left(_, spare) | EitherLane::Right(_, spare)) = self;
        *spare = Some(batch);
    }

    fn capacity(&self) -> usize {
        match self {
            EitherLane::Left(lane, _) => lane.capacity(),
            EitherLane::Right(lane, _) => lane.capacity(),
        }
    }

    fn waiting(&self) -> usize {
        match self {
            EitherLane::Left(lane, _) => lane.waiting(),
            EitherLane::Right(lane, _) => lane.waiting(),
        }
    }
}

/// A gate over the lanes of two streams.
pub(super) type EitherGate<L, R, D, E, P> =
    Gate<<D as TimeDomain>::Row<Either<L, R>>, P, EitherLane<L, R, D, E, P>>;

fn gate_of<L, R, D, E, P>(
    left: Vec<LaneReceiver<D::Row<L>>>,
    right: Vec<LaneReceiver<E::Row<R>>>,
    right_time: EdgeTime,
) -> EitherGate<L, R, D, E, P>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
    E: TimeDomain,
{
    let left = left.into_iter().map(|lane| EitherLane::Left(lane, None)).collect();
    let right = right.into_iter().map(|lane| EitherLane::Right(lane, None)).collect();
    Gate::over(vec![(left, EdgeTime::Counts), (right, right_time)])
}

/// A head that reads the lanes of `left` and of `right`, whose time may not count.
pub(super) fn two_gates_head<L, R, D, E, P>(
    left: Wires<D::Row<L>, Never>,
    right: Wires<E::Row<R>, Never>,
    right_time: EdgeTime,
) -> Head<D::Row<Either<L, R>>, P, NoSource>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
    E: TimeDomain,
    P: Send + 'static,
{
    Box::new(move |context: &BuildContext<'_>, _| {
        let kinds = [left.kind(), right.kind()];
        let (left, right) = (left.receivers(context), right.receivers(context));
        let mut gate = gate_of::<L, R, D, E, P>(left, right, right_time);
        pass_local_marks(&mut gate, kinds);
        gate.go_on_from(context.watermark);
        Ok(Input::lanes(gate))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::{Intake, Lanes, Polled, Untimed};
    use crate::exchange::lane::{LaneSender, lane};
    use crate::time::Timestamp;
    use crate::time::watermark::Progress;

    type Inputs2 = EitherGate<u32, char, Untimed, Untimed, Never>;
    type Read = Either<u32, char>;

    fn two(time_of: EdgeTime) -> (LaneSender<u32>, LaneSender<char>, Inputs2) {
        let (numbers, left) = lane(8, None, None);
        let (letters, right) = lane(8, None, None);
        (numbers, letters, gate_of(vec![left], vec![right], time_of))
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
            match Lanes::next(inputs, &mut batch) {
                Intake::Batch => {
                    let edge = Lanes::edge_in_hand(inputs);
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
                Intake::Barrier(barrier) => seen.push(format!("barrier {barrier}")),
                Intake::Mark(mark) => seen.push(format!("{mark:?}")),
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
        let (mut numbers, mut letters, mut inputs) = two(EdgeTime::Counts);
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
        let (mut numbers, mut letters, mut inputs) = two(EdgeTime::Counts);
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
        let (mut numbers, mut letters, mut inputs) = two(EdgeTime::Counts);
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
        let (mut numbers, mut letters, mut inputs) = two(EdgeTime::Counts);
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
        let (mut numbers, mut letters, mut inputs) = two(EdgeTime::Counts);
        say(&mut letters, [], None, true);
        assert!(numbers.try_end());
        assert_eq!(told(&mut inputs), ["idle"]);
        assert!(letters.try_end());
        assert_eq!(read(&mut inputs), (vec![], Polled::Done));
    }

    #[test]
    fn side_without_a_say_in_time_neither_moves_it_nor_holds_it_back() {
        let (mut numbers, mut letters, mut inputs) = two(EdgeTime::Ignored);
        say(&mut letters, ['a'], Some(99), true);
        say(&mut numbers, [1], Some(10), false);
        assert_eq!(told(&mut inputs), ["1", "10 ms", "a"]);
        assert!(numbers.try_end());
        assert_eq!(told(&mut inputs), [""; 0], "rows may still come");
        send(&mut letters, ['b']);
        assert!(letters.try_end());
        assert_eq!(read(&mut inputs), (vec!["b".to_owned()], Polled::Done));
    }

    #[test]
    fn buffers_go_home_to_the_lane_they_came_from() {
        let (mut numbers, mut letters, mut inputs) = two(EdgeTime::Counts);
        send(&mut numbers, [1]);
        send(&mut letters, ['a']);
        told(&mut inputs);
        send(&mut numbers, [2]);
        send(&mut letters, ['b']);
        told(&mut inputs);
        assert!(numbers.take_spare().is_some() && letters.take_spare().is_some());
    }
}
