//! What a gate does about marks: each rule by itself.

use std::sync::Arc;

use crate::exchange::gate::{Arrival, EdgeTime, Gate, Swept};
use crate::exchange::lane::{LaneSender, lane};
use crate::exchange::mark::Mark;
use crate::exchange::planted::{Fault, plant};
use crate::record::{Batch, Never};
use crate::routing::{Move, RoutingTable, Units, with_group};

const CAPACITY: usize = 2;

/// Lanes from two partitions and a gate over them; a record is the hash of its key.
fn two() -> ([LaneSender<u64>; 2], Gate<u64>) {
    let (first, from_first) = lane(CAPACITY, None, None);
    let (second, from_second) = lane(CAPACITY, None, None);
    ([first, second], Gate::new(vec![from_first, from_second]))
}

fn send(lane: &mut LaneSender<u64>, records: &[u64], watermark: Option<i64>) {
    let mut batch = Batch::new();
    batch.records.extend(records);
    batch.watermark = watermark.map(Into::into);
    lane.try_send(batch).expect("there is room");
}

fn mark(lane: &mut LaneSender<u64>, mark: Mark) {
    assert!(lane.try_mark(mark), "there is room");
}

/// Everything that comes out, in order.
fn all(gate: &mut Gate<u64>) -> Vec<String> {
    let mut batch: Batch<u64, Never> = Batch::new();
    let mut seen = Vec::new();
    loop {
        match gate.next(&mut batch) {
            Arrival::Batch if batch.is_empty() => {}
            Arrival::Batch => seen.push(format!("{:?}", batch.records)),
            Arrival::Progress(progress) => seen.push(format!("{progress:?}")),
            Arrival::Barrier(barrier) => seen.push(format!("barrier {barrier}")),
            Arrival::Mark(mark) => seen.push(format!("{mark:?}")),
            Arrival::Nothing => return seen,
            Arrival::Ended => {
                seen.push("end".to_owned());
                return seen;
            }
        }
        batch.records.clear();
    }
}

fn hold(id: u32, watermark: i64) -> Mark {
    Mark::Hold { id, domain: 0, watermark: watermark.into() }
}

#[test]
fn time_stands_at_a_hold_until_it_is_released() {
    let ([mut donor, mut taker], mut gate) = two();
    send(&mut donor, &[], Some(10));
    mark(&mut donor, hold(1, 10));
    send(&mut taker, &[], Some(30));
    assert_eq!(all(&mut gate), ["Watermark(Timestamp(10))"]);
    send(&mut donor, &[], Some(40));
    assert_eq!(all(&mut gate), [""; 0], "the donor's own time does not count");
    mark(&mut taker, Mark::Resume { id: 1, domain: 0, donor: 0 });
    mark(&mut taker, Mark::Release { id: 1, domain: 0 });
    assert_eq!(all(&mut gate), ["Watermark(Timestamp(30))"]);
}

#[test]
fn what_the_taker_sends_waits_for_what_the_donor_has_sent() {
    let ([mut donor, mut taker], mut gate) = two();
    mark(&mut taker, Mark::Resume { id: 1, domain: 0, donor: 0 });
    send(&mut taker, &[2], None);
    assert_eq!(all(&mut gate), [""; 0]);
    send(&mut donor, &[1], None);
    mark(&mut donor, hold(1, 0));
    assert_eq!(all(&mut gate), ["[1]", "[2]"]);
}

#[test]
fn end_of_the_donors_lane_counts_as_its_hold() {
    let ([mut donor, mut taker], mut gate) = two();
    mark(&mut taker, Mark::Resume { id: 1, domain: 0, donor: 0 });
    send(&mut taker, &[2], None);
    send(&mut donor, &[1], None);
    assert!(donor.try_end());
    assert_eq!(all(&mut gate), ["[1]", "[2]"]);
    mark(&mut taker, Mark::Release { id: 1, domain: 0 });
    assert!(taker.try_end());
    assert_eq!(all(&mut gate), ["end"], "a release without a hold is nothing");
}

#[test]
fn barrier_waits_for_all_lanes_that_have_not_ended() {
    let ([mut first, mut second], mut gate) = two();
    mark(&mut first, Mark::Barrier(7));
    send(&mut first, &[2], None);
    send(&mut second, &[1], None);
    assert_eq!(all(&mut gate), ["[1]"], "what is behind the barrier waits");
    mark(&mut second, Mark::Barrier(7));
    assert_eq!(all(&mut gate), ["barrier 7", "[2]"]);
    mark(&mut first, Mark::Barrier(8));
    assert_eq!(all(&mut gate), [""; 0]);
    assert!(second.try_end());
    assert_eq!(all(&mut gate), ["barrier 8"]);
}

/// A move of key group 5, and three keys: two of that group.
fn moved() -> (Arc<Move>, [u64; 3]) {
    let units = Units::of(&RoutingTable::even(2), &[5], &[]);
    let moved = Arc::new(Move { id: 1, domain: 0, units, donor: 0, taker: 1 });
    (moved, [with_group(11, 5), with_group(12, 5), with_group(13, 6)])
}

/// Goes on with the sweeps; what they find.
fn sweep(gate: &mut Gate<u64>) -> Vec<String> {
    let mut found = Vec::new();
    gate.sweep(
        &mut |units, from, to| {
            to.records.extend(from.records.extract_if(.., |hash| units.contains(*hash)));
        },
        &mut |swept| {
            found.push(match swept {
                Swept::Records { lane, batch, .. } => format!("{lane}: {:?}", batch.records),
                Swept::Seen { lane, .. } => format!("{lane}: seen"),
            });
            true
        },
    );
    found
}

#[test]
fn nothing_behind_a_reroute_comes_out_before_the_donor_has_given() {
    let ([mut first, _second], mut gate) = two();
    let (moved, [_, _, stays]) = moved();
    mark(&mut first, Mark::Reroute { id: moved.id });
    send(&mut first, &[stays], None);
    assert_eq!(all(&mut gate), [""; 0]);
    gate.begin_sweep(moved);
    assert_eq!(sweep(&mut gate), ["0: seen"]);
    assert_eq!(all(&mut gate), [format!("{:?}", [stays])]);
}

/// Steps of a simulation see a new table before its marks, so the rule shows here alone.
#[test]
fn a_lane_that_is_taken_past_its_marker_before_the_donor_has_given_is_caught() {
    let ([mut first, _second], mut gate) = two();
    let (moved, [_, _, stays]) = moved();
    mark(&mut first, Mark::Reroute { id: moved.id });
    send(&mut first, &[stays], None);
    plant(Some(Fault::LanePoppedPastMarker));
    let came = all(&mut gate);
    plant(None);
    assert_eq!(came, [format!("{:?}", [stays])], "the rule is what keeps it back");
}

#[test]
fn sweep_takes_records_of_the_units_out_and_leaves_the_others_in_their_order() {
    let ([mut first, mut second], mut gate) = two();
    let (moved, [one, two, stays]) = moved();
    send(&mut first, &[one, stays], None);
    send(&mut first, &[stays, two], Some(9));
    assert!(second.try_end());
    gate.begin_sweep(Arc::clone(&moved));
    let found = sweep(&mut gate);
    assert_eq!(found, [format!("0: {:?}", [one]), format!("0: {:?}", [two]), "1: seen".into()]);
    let rest = format!("{:?}", [stays]);
    assert_eq!(all(&mut gate), [&*rest, &*rest, "Watermark(Timestamp(9))"]);
    send(&mut first, &[one], None);
    assert_eq!(all(&mut gate), [""; 0], "nothing that it has not looked at comes out");
    mark(&mut first, Mark::Reroute { id: 1 });
    assert_eq!(sweep(&mut gate), [format!("0: {:?}", [one]), "0: seen".into()]);
    assert!(!gate.is_sweeping());
    assert_eq!(all(&mut gate), [""; 0], "nothing is left of that batch");
}

#[test]
fn sweep_keeps_no_more_of_a_lane_than_it_holds_and_two_messages() {
    let ([mut first, _second], mut gate) = two();
    let (moved, [_, _, stays]) = moved();
    gate.begin_sweep(moved);
    let mut sent = 0;
    while sent < 20 {
        let mut batch = Batch::new();
        batch.push(stays);
        if first.try_send(batch).is_err() {
            break;
        }
        sent += 1;
        sweep(&mut gate);
    }
    assert_eq!(sent, CAPACITY + 2 + CAPACITY, "as many here, and as many still in the lane");
}

#[test]
fn sweep_stops_at_a_resume_until_it_has_passed_the_hold() {
    let ([mut donor, mut taker], mut gate) = two();
    let (moved, [one, two, _]) = moved();
    mark(&mut taker, Mark::Resume { id: 9, domain: 0, donor: 0 });
    send(&mut taker, &[two], None);
    gate.begin_sweep(moved);
    assert_eq!(sweep(&mut gate), [""; 0]);
    send(&mut donor, &[one], None);
    mark(&mut donor, hold(9, 0));
    assert_eq!(sweep(&mut gate), [format!("0: {:?}", [one]), format!("1: {:?}", [two])]);
}

#[test]
fn batch_that_was_held_back_comes_first_once_its_lane_is_free() {
    let ([mut first, mut second], mut gate) = two();
    send(&mut first, &[1], None);
    send(&mut first, &[2], None);
    let mut batch = Batch::new();
    assert_eq!(gate.next(&mut batch), Arrival::Batch);
    gate.hold_back(4, &mut batch);
    assert!(batch.is_empty());
    send(&mut second, &[3], None);
    assert_eq!(all(&mut gate), ["[3]"], "other lanes go on");
    gate.free(5, 0);
    assert_eq!(all(&mut gate), [""; 0], "that was for another move");
    gate.free(4, 0);
    assert_eq!(all(&mut gate), ["[1]", "[2]"]);
}

/// Two edges from two partitions each, by edge and partition.
fn two_edges() -> ([[LaneSender<u64>; 2]; 2], Gate<u64>) {
    let lanes = || (lane(CAPACITY, None, None), lane(CAPACITY, None, None));
    let [(a, b), (c, d)] = [lanes(), lanes()];
    let edges = vec![(vec![a.1, b.1], EdgeTime::Counts), (vec![c.1, d.1], EdgeTime::Counts)];
    ([[a.0, b.0], [c.0, d.0]], Gate::over(edges))
}

#[test]
fn each_edge_waits_for_a_hold_of_its_own_and_ends_it_by_a_release_of_its_own() {
    let ([[mut donor, mut taker], [mut other_donor, mut other_taker]], mut gate) = two_edges();
    for taker in [&mut taker, &mut other_taker] {
        mark(taker, Mark::Resume { id: 1, domain: 0, donor: 0 });
        send(taker, &[2], Some(30));
    }
    mark(&mut donor, hold(1, 10));
    assert_eq!(all(&mut gate), ["[2]"], "the other edge's hold is still to come");
    send(&mut other_donor, &[1], Some(20));
    mark(&mut other_donor, hold(1, 20));
    send(&mut donor, &[], Some(40));
    assert_eq!(all(&mut gate), ["[1]", "[2]", "Watermark(Timestamp(10))"]);
    mark(&mut other_taker, Mark::Release { id: 1, domain: 0 });
    assert_eq!(all(&mut gate), [""; 0], "the lower hold stands");
    mark(&mut taker, Mark::Release { id: 1, domain: 0 });
    assert_eq!(all(&mut gate), ["Watermark(Timestamp(20))"]);
}

#[test]
fn marks_within_a_stage_are_the_tasks_and_keep_their_place() {
    let ([mut feeder, mut outside], mut gate) = two();
    gate.pass_marks_of(0);
    send(&mut feeder, &[1], Some(5));
    mark(&mut feeder, Mark::Resume { id: 1, domain: 3, donor: 0 });
    mark(&mut feeder, Mark::Barrier(7));
    assert_eq!(all(&mut gate), ["[1]", "Resume { id: 1, domain: 3, donor: 0 }"]);
    mark(&mut outside, Mark::Barrier(7));
    assert_eq!(all(&mut gate), ["barrier 7"], "barriers are none of those");
}
