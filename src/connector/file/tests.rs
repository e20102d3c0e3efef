//! Tests of files as a source: splits, partitions, places of dead letters.

use std::fs;

use proptest::prelude::*;

use super::lines::{text_bytes, text_lines};
use super::*;
use crate::connector::dead_letter::DeadLetterReason;
use crate::connector::{polled, test_context};
use crate::dataflow::{Collector, Meta, Polled, Source};
use crate::error::ErrorKind;

/// What each of `partitions` partitions reads, `max` records at a time.
pub(super) fn read_parts<C: SourceConnector>(
    mut connector: C,
    partitions: usize,
    max: usize,
) -> Result<Vec<Vec<C::Item>>> {
    connector.check()?;
    let mut sources = Vec::new();
    for partition in 0..partitions {
        sources.push(connector.open(&test_context(partition, partitions))?);
    }
    let mut parts = Vec::new();
    // The last partition first, so that line numbers cannot rely on the others.
    for source in sources.iter_mut().rev() {
        let mut records = Vec::new();
        let mut out = Collector::new(&mut records, Meta::default());
        loop {
            let before = out.emitted();
            let polled = source.poll(max, 0, &mut out)?;
            assert!(out.emitted() - before <= max as u64);
            if polled == Polled::Done {
                break;
            }
            assert_eq!(polled, Polled::Ready);
        }
        assert_eq!(source.poll(max, 0, &mut out)?, Polled::Done);
        parts.push(records);
    }
    parts.reverse();
    Ok(parts)
}

/// What one partition reads.
pub(super) fn read<C: SourceConnector>(connector: C) -> Vec<C::Item> {
    read_parts(connector, 1, 1_000).unwrap().concat_items()
}

trait ConcatItems<T> {
    fn concat_items(self) -> Vec<T>;
}

impl<T> ConcatItems<T> for Vec<Vec<T>> {
    fn concat_items(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}

/// The place of a dead letter.
fn place(item: &Result<String, DeadLetter>) -> Option<(u64, u64, DeadLetterReason)> {
    item.as_ref().err().map(|letter| (letter.offset, letter.line, letter.reason))
}

proptest! {
    #[test]
    fn every_line_is_read_once_whatever_the_splits_and_partitions(
        lines in prop::collection::vec("[a-c\r]{0,8}", 0..60),
        ends_with_newline: bool,
        split_bytes in 1u64..40,
        partitions in 1usize..5,
        max in 1usize..9,
    ) {
        let mut text = lines.join("\n");
        if ends_with_newline {
            text.push('\n');
        }
        let connector = text_bytes(text.as_bytes()).split_bytes(split_bytes);
        let parts = read_parts(connector, partitions, max).unwrap();
        let mut read = parts.concat_items();
        let mut expected: Vec<String> = text.lines().map(str::to_string).collect();
        // `str::lines` keeps a carriage return at the end of a file without a last newline.
        if let Some(last) = expected.last_mut().filter(|_| !text.ends_with('\n'))
            && last.ends_with('\r')
        {
            last.pop();
        }
        if partitions > 1 {
            read.sort_unstable();
            expected.sort_unstable();
        }
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn dead_letters_know_their_line_and_byte(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(0xff)], 0..120),
        split_bytes in 1u64..40,
        partitions in 1usize..5,
    ) {
        let connector = text_bytes(bytes.as_slice()).split_bytes(split_bytes).dead_letters();
        let parts = read_parts(connector, partitions, 3).unwrap();
        let mut places: Vec<_> = parts.iter().flatten().filter_map(place).collect();
        places.sort_unstable_by_key(|place| place.0);
        let mut expected = Vec::new();
        let mut offset = 0;
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if line.contains(&0xff) {
                expected.push((offset, index as u64 + 1, DeadLetterReason::InvalidUtf8));
            }
            offset += line.len() as u64;
        }
        prop_assert_eq!(places, expected);
    }
}

#[test]
fn partitions_share_a_file_evenly_and_in_order() {
    let text: String = (0..100_000).map(|line| format!("{line:06}\n")).collect();
    let parts = read_parts(text_bytes(text.as_bytes()), 2, 256).unwrap();
    for part in &parts {
        assert!(part.is_sorted());
        assert!(part.len() > 45_000, "{}", part.len());
    }
    assert_eq!(parts.concat_items().len(), 100_000);
}

#[test]
fn files_of_a_pattern_are_read_each_with_its_own_lines() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("b.txt"), b"b1\n\xff\nb3").unwrap();
    fs::write(folder.path().join("a.txt"), "a1\na2\n").unwrap();
    fs::write(folder.path().join("empty.txt"), "").unwrap();
    let pattern = folder.path().join("*.txt");
    for split_bytes in 1..8 {
        let connector = text_lines(pattern.as_path()).split_bytes(split_bytes).dead_letters();
        let read = read(connector);
        let texts: Vec<_> = read.iter().flatten().collect();
        assert_eq!(texts, ["a1", "a2", "b1", "b3"]);
        let letter = read[3].as_ref().unwrap_err();
        assert!(letter.source.ends_with("b.txt"));
        assert_eq!((letter.offset, letter.line), (3, 2));
    }
}

#[test]
fn dead_letters_are_counted_where_they_are_taken_too() {
    let mut connector = text_bytes(b"a\n\xff\n\xfe\nb".as_slice()).dead_letters();
    let context = test_context(0, 1);
    let mut source = connector.open(&context).unwrap();
    let (polled, records) = polled(&mut source, 9, 0);
    assert_eq!(polled, Polled::Done);
    assert_eq!(records.iter().filter(|item| item.is_err()).count(), 2);
    assert_eq!(context.dead_letters.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn dead_letters_that_nobody_takes_are_counted() {
    let mut connector = text_bytes(b"a\n\xff\n\xfe\nb".as_slice());
    let context = test_context(0, 1);
    let mut source = connector.open(&context).unwrap();
    let read = polled(&mut source, 9, 0);
    assert_eq!(read, (Polled::Done, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(context.dead_letters.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn a_line_of_two_mebibytes_is_one_dead_letter() {
    let mut bytes = b"a\n".to_vec();
    bytes.resize(bytes.len() + (2 << 20), b'x');
    bytes.extend(b"\nb\n\xff");
    let len = bytes.len() as u64;
    for partitions in 1..4 {
        let connector = text_bytes(bytes.as_slice()).dead_letters();
        let read = read_parts(connector, partitions, 10).unwrap().concat_items();
        let mut places: Vec<_> = read.iter().filter_map(place).collect();
        places.sort_unstable_by_key(|place| place.0);
        let long = (2, 2, DeadLetterReason::TooLong);
        assert_eq!(places, [long, (len - 1, 4, DeadLetterReason::InvalidUtf8)]);
        assert!(read.iter().all(
            |item| item.as_ref().is_err_and(|l| l.detail.chars().count() <= 80) || item.is_ok()
        ));
        let mut texts: Vec<_> = read.iter().flatten().collect();
        texts.sort_unstable();
        assert_eq!(texts, ["a", "b"]);
    }
}

#[test]
fn missing_file_is_refused_before_the_start_with_its_name() {
    let error = text_lines("no/such/file.txt").check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoInput);
    assert!(error.context().contains("no/such/file.txt"), "{error}");
}

#[test]
fn connector_is_named_after_what_it_reads() {
    assert_eq!(text_lines("books/*.txt").name(), "text books/*.txt");
    assert_eq!(text_lines(vec!["a", "b", "c"]).name(), "text a and 2 more");
    assert_eq!(text_bytes(b"abc".as_slice()).name(), "text 3 bytes in memory");
}
