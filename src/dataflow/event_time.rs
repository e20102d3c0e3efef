//! Whether a stream's records have an event time, as part of its type.
//!
//! What has no time costs nothing, and an operator that needs times can ask for them in its
//! signature. A record of a timed stream travels between tasks beside its time; within a chain it
//! passes as itself, and its time as [`Meta`].

use crate::dataflow::chain::feed;
use crate::dataflow::{Emit, Meta};
use crate::time::Timestamp;

/// [`Untimed`] or [`Timed`].
pub trait TimeDomain: Send + 'static {
    /// Whether records have an event time.
    const HAS_TIME: bool;
    /// What a record travels as between tasks.
    type Row<T: Send + 'static>: Send + 'static;

    /// The row of `record`.
    fn row<T: Send + 'static>(record: T, meta: Meta) -> Self::Row<T>;

    /// The record in `row`.
    fn record<T: Send + 'static>(row: &Self::Row<T>) -> &T;

    /// What is known of the record in `row`.
    fn meta<T: Send + 'static>(row: &Self::Row<T>) -> Meta;

    /// The record of `row`.
    fn into_record<T: Send + 'static>(row: Self::Row<T>) -> T;

    /// A second row like `row`.
    fn copy<T: Clone + Send + 'static>(row: &Self::Row<T>) -> Self::Row<T>;

    /// `records` as rows, where that is what they are.
    fn as_rows<T: Send + 'static>(records: &mut Vec<T>) -> Option<&mut Vec<Self::Row<T>>>;

    /// Hands `rows` to `out` from the front as long as there is room; the rest stays. `spare` is an
    /// empty buffer that may change places with `rows`.
    fn pass<T: Send + 'static, E: Emit<T>>(
        rows: &mut Vec<Self::Row<T>>,
        spare: &mut Vec<Self::Row<T>>,
        out: &mut E,
    );
}

/// Records without an event time.
#[derive(Clone, Copy, Debug)]
pub enum Untimed {}

/// Records with an event time: behind `assign_timestamps`.
#[derive(Clone, Copy, Debug)]
pub enum Timed {}

/// A record and its event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped<T> {
    /// The record.
    pub record: T,
    /// When it happened.
    pub time: Timestamp,
}

impl TimeDomain for Untimed {
    const HAS_TIME: bool = false;
    type Row<T: Send + 'static> = T;

    #[inline(always)]
    fn row<T: Send + 'static>(record: T, _: Meta) -> T {
        record
    }

    #[inline(always)]
    fn record<T: Send + 'static>(row: &T) -> &T {
        row
    }

    #[inline(always)]
    fn meta<T: Send + 'static>(_: &T) -> Meta {
        Meta::default()
    }

    #[inline(always)]
    fn into_record<T: Send + 'static>(row: T) -> T {
        row
    }

    #[inline(always)]
    fn copy<T: Clone + Send + 'static>(row: &T) -> T {
        row.clone()
    }

    #[inline(always)]
    fn as_rows<T: Send + 'static>(records: &mut Vec<T>) -> Option<&mut Vec<T>> {
        Some(records)
    }

    #[inline(always)]
    fn pass<T: Send + 'static, E: Emit<T>>(rows: &mut Vec<T>, spare: &mut Vec<T>, out: &mut E) {
        out.push_all(rows, spare);
    }
}

impl TimeDomain for Timed {
    const HAS_TIME: bool = true;
    type Row<T: Send + 'static> = Stamped<T>;

    #[inline(always)]
    fn row<T: Send + 'static>(record: T, meta: Meta) -> Stamped<T> {
        Stamped { record, time: meta.time }
    }

    #[inline(always)]
    fn record<T: Send + 'static>(row: &Stamped<T>) -> &T {
        &row.record
    }

    #[inline(always)]
    fn meta<T: Send + 'static>(row: &Stamped<T>) -> Meta {
        Meta { time: row.time }
    }

    #[inline(always)]
    fn into_record<T: Send + 'static>(row: Stamped<T>) -> T {
        row.record
    }

    #[inline(always)]
    fn copy<T: Clone + Send + 'static>(row: &Stamped<T>) -> Stamped<T> {
        row.clone()
    }

    #[inline(always)]
    fn as_rows<T: Send + 'static>(_: &mut Vec<T>) -> Option<&mut Vec<Stamped<T>>> {
        None
    }

    #[inline(always)]
    fn pass<T: Send + 'static, E: Emit<T>>(
        rows: &mut Vec<Stamped<T>>,
        spare: &mut Vec<Stamped<T>>,
        out: &mut E,
    ) {
        feed(rows, spare, |row| {
            out.push(row.record, Meta { time: row.time });
            out.is_open()
        });
    }
}
