//! When running aggregates emit, and in which order records of a key are combined.

use std::sync::mpsc::channel as std_channel;
use std::time::Duration;

use millstream::connector::{channel, collection, for_each, iterator};
use millstream::prelude::*;

use crate::{engine, sorted};

#[test]
fn at_the_end_every_key_comes_once() {
    let pipeline = Pipeline::new("end");
    let counts = pipeline.source(iterator(0u64..30_000)).rebalance().key_by(|n| n % 10_000);
    let counts = counts.emit_at(EmitAt::End).count().collect();
    engine(3).run(pipeline).expect("nothing fails");
    let expected: Vec<(u64, u64)> = (0..10_000).map(|key| (key, 3)).collect();
    assert_eq!(sorted(counts.take()), expected);
}

#[test]
fn each_record_has_its_result_in_order() {
    let pipeline = Pipeline::new("each");
    let sums = pipeline.source(iterator(1u64..=1_000)).key_by(|n| n % 3);
    let sums = sums.emit_at(EmitAt::EachRecord).sum(|n| *n).collect();
    engine(2).run(pipeline).expect("nothing fails");
    let sums = sums.take();
    assert_eq!(sums.len(), 1_000);
    for key in 0..3 {
        let mut so_far = 0;
        let expected = (1..=1_000).filter(|n| n % 3 == key).map(|n| {
            so_far += n;
            so_far
        });
        assert!(sums.iter().filter(|(k, _)| *k == key).map(|(_, sum)| *sum).eq(expected), "{key}");
    }
}

#[test]
fn every_interval_the_keys_that_changed_come_again() {
    let pipeline = Pipeline::new("every");
    let (seen, results) = std_channel();
    let orders = pipeline.source(channel::<u64>("orders", 16)).key_by(|order| order % 10);
    let counts = orders.emit_at(EmitAt::Every(Duration::from_millis(2))).count();
    counts.sink(for_each(move |count| seen.send(count).unwrap_or(())));
    let job = engine(2).start(pipeline).expect("it starts");
    let orders = job.input::<u64>("orders").expect("it is fed");
    for round in 1..=3 {
        orders.send_blocking(7).expect("the job runs");
        assert_eq!(results.recv().expect("a tick comes"), (7, round));
    }
    orders.send_blocking(8).expect("the job runs");
    assert_eq!(results.recv().expect("a tick comes"), (8, 1), "key 7 has not changed");
    drop(orders);
    job.join().expect("nothing fails");
    assert_eq!(results.iter().count(), 0, "the end has nothing new to tell");
}

#[test]
fn what_changed_since_the_last_tick_comes_at_the_end() {
    for pre_aggregate in [false, true] {
        let pipeline = Pipeline::new("rest");
        let keyed = pipeline.source(iterator(0u64..5_000)).rebalance().key_by(|n| n % 50);
        let keyed = keyed.emit_at(EmitAt::Every(Duration::from_secs(3_600)));
        let keyed = keyed.pre_aggregate(match pre_aggregate {
            true => millstream::config::PreAggregate::On,
            false => millstream::config::PreAggregate::Off,
        });
        let counts = keyed.count().collect();
        engine(2).run(pipeline).expect("nothing fails");
        let expected: Vec<(u64, u64)> = (0..50).map(|key| (key, 100)).collect();
        assert_eq!(sorted(counts.take()), expected);
    }
}

#[test]
fn ticks_on_the_way_never_tell_more_than_there_was() {
    let pipeline = Pipeline::new("ticks");
    let keyed = pipeline.source(iterator(0u64..200_000)).rebalance().key_by(|n| n % 100);
    let counts = keyed.emit_at(EmitAt::Every(Duration::from_micros(200))).count().collect();
    engine(2).run(pipeline).expect("nothing fails");
    let mut last = vec![0; 100];
    for (key, count) in counts.take() {
        assert!(count > last[key as usize] && count <= 2_000, "key {key}: {count}");
        last[key as usize] = count;
    }
    assert_eq!(last, vec![2_000; 100]);
}

#[test]
fn pre_aggregation_changes_no_result() {
    use millstream::config::PreAggregate;
    let mut results = Vec::new();
    for pre_aggregate in [PreAggregate::Off, PreAggregate::On, PreAggregate::Auto] {
        let pipeline = Pipeline::new("folded");
        let keyed = pipeline.source(iterator(0u64..100_000)).rebalance();
        let keyed = keyed.key_by(|n| (n * n) % 1_009).pre_aggregate(pre_aggregate);
        let sums = keyed.sum(|n| *n).collect();
        engine(3).run(pipeline).expect("nothing fails");
        results.push(sorted(sums.take()));
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
    assert_eq!(results[0].iter().map(|(_, sum)| sum).sum::<u64>(), 100_000 * 99_999 / 2);
}

#[test]
fn reduce_combines_in_the_order_of_the_source() {
    for emit_at in [EmitAt::End, EmitAt::EachRecord, EmitAt::Every(Duration::from_secs(3_600))] {
        let pipeline = Pipeline::new("reduce");
        let letters: Vec<String> = ('a'..='z').map(String::from).collect();
        let keyed = pipeline.source(iterator(letters)).key_by(|letter| letter < &"n".to_owned());
        let words = keyed.emit_at(emit_at).reduce(|so_far, next| so_far + &next).collect();
        engine(3).run(pipeline).expect("nothing fails");
        let words = words.take();
        let last = |key| words.iter().rfind(|(k, _)| *k == key).map(|(_, word)| &**word);
        assert_eq!(last(true), Some("abcdefghijklm"), "{emit_at:?}");
        assert_eq!(last(false), Some("nopqrstuvwxyz"), "{emit_at:?}");
        assert_eq!(words.len(), if emit_at == EmitAt::EachRecord { 26 } else { 2 });
    }
}

#[test]
fn order_per_key_is_kept_over_exchanges_by_key() {
    let pipeline = Pipeline::new("order");
    let keyed = pipeline.source(iterator(0u64..50_000)).key_by(|n| n % 64);
    // Fails the job where a later record was there first.
    let latest = keyed.emit_at(EmitAt::EachRecord).reduce(|so_far, next| {
        assert!(next == so_far + 64, "{next} after {so_far}");
        next
    });
    let keyed = latest.map(|(_, number)| number).key_by(|n| n % 16);
    let counts = keyed.reduce(|so_far, next| {
        assert!(next > so_far || next % 64 != so_far % 64, "{next} after {so_far}");
        next
    });
    let counts = counts.collect();
    engine(3).run(pipeline).expect("order is kept");
    assert_eq!(counts.take().len(), 16);
}

#[test]
fn keys_of_many_types_meet_their_own() {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    enum Colour {
        Red,
        Green(u8),
    }
    let pipeline = Pipeline::new("keys");
    let source = || pipeline.source(collection((0..600u32).collect::<Vec<_>>())).rebalance();
    let by_text = source().key_by(|n| format!("key {}", n % 6)).count().collect();
    let by_pair = source().key_by(|n| (n % 2, i64::from(n % 3) - 1)).count().collect();
    let by_enum = source().key_by(|n| match n % 3 {
        0 => Colour::Red,
        rest => Colour::Green(rest as u8),
    });
    let by_enum = by_enum.count().collect();
    let by_nothing = source().key_by(|_| ()).count().collect();
    engine(3).run(pipeline).expect("nothing fails");
    assert!(by_text.take().iter().all(|(_, count)| *count == 100));
    assert!(by_pair.take().iter().all(|(_, count)| *count == 100));
    let expected = [(Colour::Red, 200), (Colour::Green(1), 200), (Colour::Green(2), 200)];
    assert_eq!(sorted(by_enum.take()), expected);
    assert_eq!(by_nothing.take(), [((), 600)]);
}

#[test]
fn what_does_not_merge_sees_the_order_of_the_source_whatever_is_asked() {
    use millstream::config::PreAggregate;
    for pre_aggregate in [PreAggregate::Off, PreAggregate::On, PreAggregate::Auto] {
        let pipeline = Pipeline::new("arrival");
        // 10,000 keys by turns: more than are folded at a time, so that one would lose the order.
        let numbers = || {
            let numbers = pipeline.source(iterator(0u64..50_000));
            numbers.key_by(|n| n % 10_000).pre_aggregate(pre_aggregate)
        };
        let (firsts, lasts) = (numbers().first().collect(), numbers().last().collect());
        let all = numbers().collect_by_key().collect();
        engine(3).run(pipeline).expect("nothing fails");
        assert!(firsts.take().iter().all(|(key, first)| first == key), "{pre_aggregate:?}");
        assert!(lasts.take().iter().all(|(key, last)| *last == key + 40_000), "{pre_aggregate:?}");
        for (key, all) in all.take() {
            let expected: Vec<u64> = (0..5).map(|turn| key + turn * 10_000).collect();
            assert_eq!(all, expected, "{pre_aggregate:?}");
        }
    }
}
