//! Two streams in one task, without a join: connected by key, and beside a broadcast table.

use std::collections::BTreeMap;

use millstream::connector::iterator;
use millstream::dataflow::{Emit, KeyContext, KeyedOperator};
use millstream::prelude::*;
use millstream::record::{Either, Never};

use crate::{Row, each_partitions, rows};

/// Says of each key, when the input is over, what came from each stream, in order.
#[derive(Clone)]
struct Gathered;

impl KeyedOperator<u64, Either<Row, (u64, char)>> for Gathered {
    type Out = (u64, Vec<u64>, String);
    type State = (Vec<u64>, String);
    type Partial = Never;
    const NAME: &'static str = "gathered";

    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        record: Either<Row, (u64, char)>,
        (ids, letters): &mut Self::State,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        match record {
            Either::Left(row) => {
                assert_eq!(row.key, *context.key());
                ids.push(row.id);
            }
            Either::Right((key, letter)) => {
                assert_eq!(key, *context.key());
                letters.push(letter);
            }
        }
    }

    fn on_partial<E: Emit<Self::Out>>(
        &mut self,
        partial: Never,
        _: &mut Self::State,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }

    fn on_end<E: Emit<Self::Out>>(
        &mut self,
        (ids, letters): &mut Self::State,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        context.emit((*context.key(), std::mem::take(ids), std::mem::take(letters)));
    }
}

#[test]
fn connected_streams_of_two_types_meet_in_one_state_per_key_in_their_orders() {
    for seed in 0..40 {
        let (left, right) = (rows(seed, 60, 0), rows(seed + 1_000, 40, 0));
        let letter = |row: &Row| char::from(b'a' + (row.id % 26) as u8);
        let mut expected: BTreeMap<u64, (Vec<u64>, String)> = BTreeMap::new();
        for row in &left {
            expected.entry(row.key).or_default().0.push(row.id);
        }
        for row in &right {
            expected.entry(row.key).or_default().1.push(letter(row));
        }
        let expected: Vec<_> =
            expected.into_iter().map(|(key, (ids, letters))| (key, ids, letters)).collect();
        each_partitions(
            seed,
            (&left, &right),
            |left, right| {
                let left = left.rebalance().map(|row| row).rebalance();
                let letters = right.map(move |row| (row.key, letter(&row)));
                let left = left.map(|row| row).key_by(|row| row.key);
                left.connect(letters.key_by(|row| row.0)).apply_keyed(Gathered).collect()
            },
            |mut gathered, seed| {
                // Dealt out over partitions, the left stream has no order left.
                gathered.iter_mut().for_each(|(_, ids, _)| ids.sort());
                assert_eq!(gathered, expected, "{seed}");
            },
        );
    }
}

#[test]
fn streams_of_two_pipelines_are_refused() {
    let (one, other) = (Pipeline::new("one"), Pipeline::new("other"));
    let left = one.source(iterator(rows(1, 3, 0))).key_by(|row| row.key);
    let right = other.source(iterator([(1, 'a')])).key_by(|row| row.0);
    left.emit_at(EmitAt::EachRecord).connect(right).apply_keyed(Gathered).collect();
    for pipeline in [one, other] {
        let name = pipeline.name().to_owned();
        let engine = Engine::new(Config::default()).expect("an engine");
        let error = engine.run(pipeline).expect_err("edges of another pipeline").to_string();
        assert!(error.contains("connect of streams of two pipelines"), "{name}: {error}");
        assert_eq!(error.contains("emit_at is for"), name == "one", "{error}");
    }
}

#[test]
fn every_partition_has_the_whole_table_of_a_broadcast() {
    for seed in 0..40 {
        let (left, right) = (rows(seed, 50, 0), rows(seed + 1_000, 20, 0));
        each_partitions(
            seed,
            (&left, &right),
            |left, right| {
                let table = right.map(|row| (row.id, row.time));
                left.rebalance()
                    .with_broadcast(
                        table,
                        |table: &mut BTreeMap<u64, i64>, (id, time)| {
                            assert_eq!(table.insert(id, time), None, "each row comes once");
                        },
                        |row, table| (row, table.clone()),
                    )
                    .collect()
            },
            |joined, seed| {
                let records: Vec<Row> = joined.iter().map(|(row, _)| row.clone()).collect();
                let mut expected = left.clone();
                expected.sort();
                assert_eq!(records, expected, "{seed}");
                for (_, table) in joined {
                    // Of one source, so each table is a piece of it from its beginning.
                    let rows = right.iter().map(|row| (row.id, row.time)).take(table.len());
                    assert!(rows.eq(table), "{seed}");
                }
            },
        );
    }
}
