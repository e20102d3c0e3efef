//! Tests of CSV rows: types, quotes, dead letters, and reading by position.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::connector::dead_letter::DeadLetter;
use crate::connector::file::tests::{read, read_parts};
use crate::dataflow::SourceConnector;

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Flight {
    date: String,
    delay: Option<i32>,
    distance: u32,
    origin: String,
    destination: String,
}

const FLIGHTS: &[u8] = include_bytes!("../../../../tests/fixtures/flights_20.csv");

fn reasons<T>(items: &[Result<T, DeadLetter>]) -> Vec<(u64, DeadLetterReason)> {
    items.iter().flat_map(|item| item.as_ref().err().map(|dead| (dead.line, dead.reason))).collect()
}

/// The one dead letter of a file with one row.
fn letter<T>(header: &str, row: &str) -> DeadLetter
where
    T: serde::de::DeserializeOwned + Send + 'static + std::fmt::Debug,
{
    let bytes = format!("{header}\n{row}\n").into_bytes();
    let mut items = read(csv_bytes::<T>(bytes).dead_letters());
    assert_eq!(items.len(), 1, "{row}");
    items.pop().expect("there is one").expect_err(row)
}

#[test]
fn flights_are_read_as_the_csv_crate_reads_them() {
    let expected: Vec<Flight> =
        csv::Reader::from_reader(FLIGHTS).deserialize().map(Result::unwrap).collect();
    assert_eq!(expected.len(), 20);
    assert_eq!(read(csv_bytes::<Flight>(FLIGHTS)), expected);
    for split_bytes in [1, 7, 100] {
        for partitions in 1..4 {
            let connector = csv_bytes::<Flight>(FLIGHTS).split_bytes(split_bytes);
            let parts = read_parts(connector, partitions, 3).unwrap();
            let mut rows: Vec<Flight> = parts.into_iter().flatten().collect();
            rows.sort_by(|a, b| a.date.cmp(&b.date));
            assert_eq!(rows, expected);
        }
    }
}

#[test]
fn columns_are_found_by_name_and_others_are_skipped() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Ends {
        destination: String,
        origin: String,
    }
    let rows = read(csv_bytes::<Ends>(FLIGHTS));
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row.origin != row.destination));
    assert_eq!(rows[19], Ends { destination: "MDW".into(), origin: "MCI".into() });
}

#[test]
fn each_file_has_its_own_order_of_columns() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "x,y\n1,2\n3,4\n").unwrap();
    std::fs::write(folder.path().join("b.csv"), "y,x\n1,2\n3,4\n").unwrap();
    let rows = read(csv_file::<BTreeMap<String, u8>>(folder.path().join("*.csv")));
    let xs: Vec<u8> = rows.iter().map(|row| row["x"]).collect();
    assert_eq!(xs, [1, 3, 2, 4]);

    #[derive(Deserialize)]
    struct Point {
        x: u8,
    }
    let rows = read(csv_file::<Point>(folder.path().join("*.csv")));
    assert_eq!(rows.iter().map(|row| row.x).collect::<Vec<_>>(), [1, 3, 2, 4]);
}

#[test]
fn aliases_defaults_and_strict_structs_read_alike_on_every_row() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Aliased {
        #[serde(alias = "b")]
        a: u8,
        c: u8,
    }
    let items = read(csv_bytes::<Aliased>(b"b,c\n1,2\n3,4\n".as_slice()));
    assert_eq!(items, [Aliased { a: 1, c: 2 }, Aliased { a: 3, c: 4 }]);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Defaulted {
        a: u8,
        #[serde(default)]
        missing: u8,
        #[serde(skip)]
        skipped: u8,
        c: u8,
    }
    let items = read(csv_bytes::<Defaulted>(b"a,c\n1,2\n3,4\n".as_slice()));
    assert_eq!(items[1], Defaulted { a: 3, missing: 0, skipped: 0, c: 4 });

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        a: u8,
    }
    let items = read(csv_bytes::<Strict>(b"a,c\n1,2\n3,4\n".as_slice()).dead_letters());
    assert_eq!(items.iter().filter(|item| item.is_err()).count(), 2);
}

#[test]
fn a_struct_that_cannot_be_read_by_position_is_read_by_name_from_then_on() {
    /// Reads a map only, and says that it has two fields.
    #[derive(Debug, PartialEq)]
    struct ByName(HashMap<String, u8>);

    impl<'de> Deserialize<'de> for ByName {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Entries;
            impl<'de> serde::de::Visitor<'de> for Entries {
                type Value = HashMap<String, u8>;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a map")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Self::Value, A::Error> {
                    let mut entries = HashMap::new();
                    while let Some((key, value)) = map.next_entry()? {
                        entries.insert(key, value);
                    }
                    Ok(entries)
                }
            }
            from.deserialize_struct("ByName", &["a", "b"], Entries).map(ByName)
        }
    }

    let items = read(csv_bytes::<ByName>(b"a,b\n1,2\n3,4\n5,6\n".as_slice()));
    assert_eq!(items.len(), 3);
    assert_eq!(items[2].0["b"], 6);
}

#[test]
fn bad_rows_are_dead_letters_and_the_stream_goes_on() {
    use DeadLetterReason::*;
    let mut bytes = b"a,b\n1,x\n2\n3,y,z\n\nq,y\n300,y\n-1,y\n".to_vec();
    bytes.extend(b"7,\"open\n8,\xff\n9,\x00\r\n10,last");
    #[derive(Debug, Deserialize)]
    struct Row {
        a: u8,
        b: String,
    }
    for split_bytes in [1, 5, 1_000] {
        let connector = csv_bytes::<Row>(bytes.as_slice()).split_bytes(split_bytes);
        let items = read(connector.dead_letters());
        let good: Vec<_> = items.iter().flatten().map(|row| (row.a, row.b.as_str())).collect();
        assert_eq!(good, [(1, "x"), (9, "\0"), (10, "last")]);
        assert_eq!(
            reasons(&items),
            [
                (3, ColumnCount),
                (4, ColumnCount),
                (5, EmptyLine),
                (6, BadValue),
                (7, OutOfRange),
                (8, OutOfRange),
                (9, UnclosedQuote),
                (10, InvalidUtf8),
            ]
        );
    }
}

#[test]
fn values_are_refused_with_column_and_reason() {
    use DeadLetterReason::*;
    let refused = letter::<BTreeMap<String, i64>>("n", "12x");
    assert_eq!((refused.reason, refused.offset, refused.line), (BadValue, 2, 2));
    assert_eq!(refused.detail, "n: 12x; allowed: i64");
    assert_eq!(letter::<BTreeMap<String, i64>>("n", "9223372036854775808").reason, OutOfRange);
    assert_eq!(letter::<BTreeMap<String, i64>>("n", "1.0").reason, BadValue);
    for (text, reason) in [
        ("1e400", OutOfRange),
        ("-1e400", OutOfRange),
        ("9007199254740993", OutOfRange),
        ("NaN", BadValue),
        ("inf", BadValue),
        ("1,5", ColumnCount),
    ] {
        assert_eq!(letter::<BTreeMap<String, f64>>("n", text).reason, reason, "{text}");
    }
    assert_eq!(letter::<BTreeMap<String, f32>>("n", "16777217").reason, OutOfRange);
    assert_eq!(letter::<BTreeMap<String, f32>>("n", "1e39").reason, OutOfRange);
    assert_eq!(letter::<BTreeMap<String, bool>>("n", "yes").reason, BadValue);

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)] // Only its shape is of interest.
    struct Missing {
        x: u8,
    }
    assert_eq!(letter::<Missing>("n", "1").reason, MissingField);
    assert_eq!(letter::<Missing>("x,x", "1,2").reason, DuplicateKey);
}

#[test]
fn numbers_that_fit_are_kept_exactly() {
    let values = read(csv_bytes::<f64>(b"n\n-0\n1e308\n9007199254740992\n0.1\n".as_slice()));
    assert_eq!(values, [0.0, 1e308, 9_007_199_254_740_992.0, 0.1]);
    assert!(values[0].is_sign_negative());
    let values = read(csv_bytes::<i64>(b"n\n-0\n-9223372036854775808\n+7\n".as_slice()));
    assert_eq!(values, [0, i64::MIN, 7]);
}

#[test]
fn many_types_are_read() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Arrival,
        Departure,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct Id(u64);
    #[derive(Debug, Deserialize, PartialEq)]
    struct Wide {
        id: Id,
        kind: Kind,
        mark: char,
        ok: bool,
        ratio: Option<f32>,
        note: Option<String>,
    }
    let text = "id,kind,mark,ok,ratio,note\n1,arrival,é,true,0.5,\"a \"\"b\"\"\"\n\
                2,departure,x,false,,\n";
    let rows = read(csv_bytes::<Wide>(text.as_bytes()));
    assert_eq!(
        rows,
        [
            Wide {
                id: Id(1),
                kind: Kind::Arrival,
                mark: 'é',
                ok: true,
                ratio: Some(0.5),
                note: Some("a \"b\"".to_string()),
            },
            Wide {
                id: Id(2),
                kind: Kind::Departure,
                mark: 'x',
                ok: false,
                ratio: None,
                note: None,
            },
        ]
    );
    let rows = read(csv_bytes::<(u8, String)>(b"a,b\n1,x\n2,y\n".as_slice()));
    assert_eq!(rows, [(1, "x".to_string()), (2, "y".to_string())]);
    assert_eq!(letter::<(u8, u8, u8)>("a,b", "1,2").reason, DeadLetterReason::ColumnCount);
    let rows = read(csv_bytes::<serde_json::Value>(b"a,b,c\n-1,x,true\n".as_slice()));
    assert_eq!(rows, [serde_json::json!({"a": -1, "b": "x", "c": true})]);
}

#[test]
fn multiline_fields_keep_their_newlines_and_count_their_lines() {
    let bytes =
        b"a,b\r\n1,\"x\r\ny\"\r\n\"2\n\",z\n3\n\"4\",\"w\n\nw\"\n5,\"open\n6,v\n".as_slice();
    for partitions in [1, 3] {
        let connector = csv_bytes::<(String, String)>(bytes).multiline(true).dead_letters();
        let items: Vec<_> =
            read_parts(connector, partitions, 2).unwrap().into_iter().flatten().collect();
        let good: Vec<_> = items.iter().flatten().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(good, [("1", "x\r\ny"), ("2\n", "z"), ("4", "w\n\nw"), ("6", "v")]);
        let dead = [(6, DeadLetterReason::ColumnCount), (10, DeadLetterReason::UnclosedQuote)];
        assert_eq!(reasons(&items), dead);
    }
}

#[test]
fn unclosed_quote_is_given_up_after_a_mebibyte() {
    let mut bytes = b"a\n\"open\n".to_vec();
    for _ in 0..400_000 {
        bytes.extend(b"xyz\n");
    }
    bytes.extend(b"\"closed\"\n");
    let items = read(csv_bytes::<String>(bytes).multiline(true).dead_letters());
    assert_eq!(reasons(&items), [(2, DeadLetterReason::UnclosedQuote)]);
    assert_eq!(items.len(), 400_002);
    assert_eq!(items.last().unwrap().as_ref().unwrap(), "closed");
}

#[test]
fn bad_header_or_delimiter_is_refused() {
    for header in [&b"\xff,b\n1,2\n"[..], b"\n1\n", b"\"a,b\n1,2\n"] {
        let error = read_parts(csv_bytes::<(u8, u8)>(header), 1, 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData, "{error}");
    }
    for delimiter in [b'"', b'\n', 0xe9] {
        let error = csv_bytes::<(u8, u8)>(b"a,b\n".as_slice()).delimiter(delimiter).check();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidConfig);
    }
    let rows = read(csv_bytes::<(u8, u8)>(b"\xef\xbb\xbfa;b\n1;2".as_slice()).delimiter(b';'));
    assert_eq!(rows, [(1, 2)]);
    assert!(read(csv_bytes::<(u8, u8)>(b"".as_slice())).is_empty());
    assert!(read(csv_bytes::<(u8, u8)>(b"a,b".as_slice())).is_empty());
}

proptest! {
    #[test]
    fn rows_are_read_as_the_csv_crate_reads_them(
        rows in prop::collection::vec(
            (any::<i32>(), any::<Option<i64>>(), any::<f64>(), ".{0,9}", any::<bool>()), 0..20),
        split_bytes in 1u64..200,
    ) {
        #[derive(Clone, Debug, Deserialize, serde::Serialize, PartialEq)]
        struct Row {
            a: i32,
            b: Option<i64>,
            c: f64,
            d: String,
            e: bool,
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut expected = Vec::new();
        for (a, b, c, d, e) in rows {
            let c = if c.is_finite() { c } else { 0.0 };
            let d = d.replace(['\n', '\r'], "");
            let row = Row { a, b, c, d, e };
            writer.serialize(&row).unwrap();
            expected.push(row);
        }
        let bytes = writer.into_inner().unwrap();
        let by_crate: Vec<Row> =
            csv::Reader::from_reader(&bytes[..]).deserialize().map(Result::unwrap).collect();
        prop_assert_eq!(&by_crate, &expected);
        let items = read(csv_bytes::<Row>(bytes).split_bytes(split_bytes));
        prop_assert_eq!(items, expected);
    }
}
