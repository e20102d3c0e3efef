//! `bench hot-key` and `bench hot-key-shift` through the binary.

use std::collections::BTreeMap;

use millstream::record::hash_key;
use millstream::routing::RoutingTable;
use serde_json::Value;

use crate::bench::{GOLDEN, SEED, checksum, counted, mix64, pair, report};
use crate::{refusal, run};

/// What a naive loop comes to, by the definition of the input.
fn hot_counted(
    records: u64,
    keys: u64,
    share: f64,
    set: impl Fn(u64) -> Vec<u64>,
) -> BTreeMap<u64, (u64, u64)> {
    let mut counted = BTreeMap::new();
    for index in 0..records {
        let (mut key, value) = pair(index, keys);
        let draw = mix64((SEED ^ 0x407).wrapping_add(index.wrapping_mul(GOLDEN)));
        if ((draw >> 11) as f64) < share * (1u64 << 53) as f64 {
            let hot = set(index);
            let place = (u128::from(mix64(draw)) * hot.len() as u128) >> 64;
            key = hot[place as usize];
        }
        let entry: &mut (u64, u64) = counted.entry(key).or_default();
        *entry = (entry.0 + 1, entry.1 + value);
    }
    counted
}

fn figures(value: &Value) -> Vec<u64> {
    let figures = value.as_array().expect("a list").iter();
    figures.map(|figure| figure.as_u64().expect("a figure")).collect()
}

#[test]
fn hot_key_comes_to_the_documented_checksum_however_it_runs() {
    let expected = hot_counted(40_000, 1_000, 0.8, |_| vec![0, 1, 2]);
    for flags in [
        "--partitions 1",
        "--partitions 2 --pre-aggregate off --rebalance off",
        "--partitions 3 --pre-aggregate on --batch-size 7",
        "--partitions 2 --mergeable no --work-ns 0",
        "--partitions 3 --mergeable no --stages 2",
        "--partitions 2 --rate 10000000",
        "--partitions 2 --rate 10000000 --pre-aggregate on",
        "--partitions 2 --work-rounds 7 --force-moves 0 --repeat 2",
    ] {
        let line = format!("hot-key --hot-keys 3 --records 40000 --keys 1000 {flags}");
        let result = &report(&line)["result"];
        assert_eq!(result["checksum"], checksum(&expected), "{line}");
        assert_eq!(result["keys"], expected.len(), "{line}");
        assert_eq!(result["total_count"], 40_000, "{line}");
        assert_eq!(figures(&result["hot_keys"]), [0, 1, 2], "{line}");
    }
}

#[test]
fn share_of_0_is_the_input_of_keyed_count() {
    let line = "hot-key --share 0 --colocate --records 30000 --keys 500 --work-rounds 3";
    let result = report(&format!("{line} --partitions 2"))["result"].clone();
    assert_eq!(result["checksum"], checksum(&counted(30_000, 500)));
    let skewed = "--records 30000 --keys 500 --partitions 2 --skew zipf:1.4";
    let of = |workload: &str| report(&format!("{workload} {skewed}"))["result"]["checksum"].clone();
    assert_eq!(of("hot-key --share 0 --work-rounds 3"), of("keyed-count"));
}

#[test]
fn colocated_keys_all_start_on_the_first_partition_and_others_on_the_last() {
    let line = "hot-key-shift --colocate --hot-keys 8 --keys 5000 --records 30000 --work-rounds 1";
    let mut seen = Vec::new();
    for partitions in [1, 2, 3] {
        let result = report(&format!("{line} --partitions {partitions}"))["result"].clone();
        let table = RoutingTable::even(partitions);
        let [first, last] = ["hot_keys", "hot_keys_after_shift"].map(|name| figures(&result[name]));
        assert_eq!((first.len(), last.len()), (8, 8));
        assert!(first.iter().all(|key| table.owner(hash_key(key)) == 0), "{first:?}");
        assert!(last.iter().all(|key| table.owner(hash_key(key)) == partitions - 1), "{last:?}");
        let set = |index| if index < 15_000 { first.clone() } else { last.clone() };
        let expected = hot_counted(30_000, 5_000, 0.8, set);
        assert_eq!(result["checksum"], checksum(&expected), "{partitions} partitions");
        seen.push((first, last));
    }
    assert!(seen.iter().all(|sets| *sets == seen[0]), "one input for all partition counts");
}

#[test]
fn a_period_in_records_or_at_a_rate_shifts_again_and_again() {
    let expected = hot_counted(30_000, 100, 1.0, |index| vec![index / 4_000 % 2]);
    for period in ["--period 4000", "--rate 1000000 --period 4ms"] {
        let line = format!("hot-key --share 1 --records 30000 --keys 100 --partitions 2 {period}");
        let result = &report(&line)["result"];
        assert_eq!(result["checksum"], checksum(&expected), "{line}");
        assert_eq!(result["records_per_shift"], 4_000);
    }
}

#[test]
fn a_second_stage_finds_nothing_lost_doubled_or_out_of_order() {
    for partitions in [1, 2, 3] {
        let line = format!(
            "hot-key --stages 2 --mergeable no --hot-keys 2 --records 50000 --keys 300 \
             --partitions {partitions} --batch-size 16 --work-rounds 1"
        );
        let result = &report(&line)["result"];
        for name in ["order_inversions", "lost", "doubled"] {
            assert_eq!(result[name], 0, "{name}: {line}");
        }
        assert_eq!(result["is_complete"], true, "{line}");
    }
}

#[test]
fn a_shift_at_a_rate_tells_latency_before_at_worst_and_until_it_recovered() {
    for flags in ["", " --mergeable no", " --mergeable no --stages 2"] {
        let report = report(&format!(
            "hot-key-shift --rate 20000 --duration 600ms --warmup 100ms --partitions 2 --keys 50 \
             --colocate --work-ns 100{flags}"
        ));
        let result = &report["result"];
        let count = report["latency_ns"]["count"].as_u64().expect("a count");
        // Records of the warm-up take those with them that they are combined with.
        let least = if flags.is_empty() { 11_500 } else { 12_000 };
        assert!((least..=12_000).contains(&count), "600 ms of 20,000 a second: {count}");
        assert_eq!(result["total_count"], 14_000);
        let others = result["other_latency_ns"]["count"].as_u64().expect("a count");
        assert!((2_000..2_800).contains(&others), "a fifth, not {others}");
        assert_eq!(result["sample_ns"], 100_000_000);
        assert_eq!(figures(&result["p99_ns_samples"]).len(), 7);
        assert!(result["p99_ns_before_shift"].as_u64() > Some(0), "{result}");
        assert!(result["p99_ns_peak_after_shift"].as_u64() > Some(0), "{result}");
        assert!(result.get("recovery_ms").is_some());
        assert_eq!(result["records_per_shift"], 7_000, "half of the records");
    }
}

#[test]
fn flags_are_among_the_parameters() {
    let line = "hot-key --records 1000 --partitions 1 --share 0.25 --hot-keys 2 --colocate \
                --work-ns 50 --mergeable no --period 100 --force-moves 600 --rebalance keys";
    let parameters = report(line)["parameters"].clone();
    for (name, value) in [
        ("share", Value::from(0.25)),
        ("hot-keys", 2.into()),
        ("colocate", true.into()),
        ("work-ns", 50.into()),
        ("work-rounds", Value::Null),
        ("mergeable", "no".into()),
        ("period", "100".into()),
        ("stages", 1.into()),
        ("force-moves", 600.into()),
        ("rebalance", "keys".into()),
    ] {
        assert_eq!(parameters[name], value, "{name}");
    }
}

#[test]
fn wrong_values_are_one_line_each() {
    for (flags, expected) in [
        ("--share 1.5", "out of range at --share: 1.5; allowed 0..=1"),
        ("--share -1", "not a decimal number at --share: -1; allowed 0..=1"),
        ("--hot-keys 0", "out of range at --hot-keys: 0; allowed 1..=65536"),
        ("--work-ns 2000000", "out of range at --work-ns: 2000000; allowed 0..=1000000"),
        ("--work-rounds x", "not a whole number at --work-rounds: x; allowed 0..=1000000"),
        ("--mergeable maybe", "unknown value at --mergeable: maybe; allowed yes|no"),
        ("--stages 3", "unknown value at --stages: 3; allowed 1|2"),
        ("--force-moves -1", "out of range at --force-moves: -1; allowed 0..=1000000"),
        ("--colocate=yes", "unexpected value at --colocate: yes; allowed no value"),
        ("--rebalance all", "unknown value at --rebalance: all; allowed off|groups|keys|combine"),
        (
            "--period 5ms",
            "time without a rate at --period: 5ms; allowed with --rate, or a number of records",
        ),
        (
            "--stages 2",
            "conflicting flags at millstream bench: --stages 2 and --mergeable yes; allowed \
             --stages 2 with --mergeable no: a partial has no order",
        ),
        (
            "--hot-keys 8 --keys 9",
            "too many at --hot-keys: 8; hot keys are 8 in each of two sets, of which one has 1, \
             see --keys",
        ),
    ] {
        let words = ["bench", "hot-key"].into_iter().chain(flags.split(' '));
        let stderr = refusal(&run(&words.collect::<Vec<_>>()), 64);
        assert_eq!(stderr, format!("error: {expected}\n"), "{flags}");
    }
}
