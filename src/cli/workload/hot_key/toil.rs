//! The keyed stage that works: counts and sums per key, after so much work on each record.

use crate::cli::workload::hot_key::work::Work;
use crate::dataflow::{Emit, KeyContext, KeyedOperator};
use crate::record::Never;
use crate::time::Nanos;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) key: u64,
    pub(super) index: u64,
    /// When it should have been sent, if there is a rate.
    pub(super) due: Nanos,
    /// Below 2^16.
    pub(super) value: u32,
    pub(super) is_hot: bool,
}

/// What the stage tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// Records of a key that count from now on.
    Applied { key: u64, index: u64, due: Nanos, count: u64, is_hot: bool },
    /// All records of a key.
    Total { key: u64, count: u64, sum: u64 },
    /// What a second stage has seen of the order of a key's records.
    Order { key: u64, inversions: u64, repeats: u64, count: u64, digest: u64 },
}

impl Row {
    #[inline]
    pub(super) fn key(&self) -> u64 {
        match self {
            Row::Applied { key, .. } | Row::Total { key, .. } | Row::Order { key, .. } => *key,
        }
    }
}

/// When the stage tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// The totals, at the end.
    AtEnd,
    /// Each record, or each partial, as it is applied; and the totals.
    Each,
}

/// What a feeder makes of several records of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Portion {
    count: u64,
    sum: u64,
    /// Of the first record, which waits longest.
    due: Nanos,
    is_hot: bool,
}

impl Portion {
    #[inline]
    pub(super) fn add(&mut self, work: &mut Work, piece: &Piece) {
        if self.count == 0 {
            (self.due, self.is_hot) = (piece.due, piece.is_hot);
        }
        self.count += 1;
        self.sum = self.sum.wrapping_add(work.spend(piece.value.into()));
    }
}

/// The aggregate; merges.
#[derive(Clone)]
pub(super) struct Toil {
    work: Work,
    telling: Telling,
}

impl Toil {
    pub(super) fn new(work: Work, telling: Telling) -> Toil {
        Toil { work, telling }
    }

    #[inline]
    fn apply<E: Emit<Row>>(
        &mut self,
        piece: Piece,
        state: &mut (u64, u64),
        context: &mut KeyContext<'_, u64, E>,
    ) {
        let Piece { key, index, due, value, is_hot } = piece;
        *state = (state.0 + 1, state.1.wrapping_add(self.work.spend(value.into())));
        if self.telling == Telling::Each {
            context.emit(Row::Applied { key, index, due, count: 1, is_hot });
        }
    }
}

fn tell_total<E: Emit<Row>>(state: (u64, u64), context: &mut KeyContext<'_, u64, E>) {
    let key = *context.key();
    context.emit(Row::Total { key, count: state.0, sum: state.1 });
}

impl KeyedOperator<u64, Piece> for Toil {
    type Out = Row;
    type State = (u64, u64);
    type Partial = Portion;
    const NAME: &'static str = "toil";

    #[inline]
    fn on_record<E: Emit<Row>>(
        &mut self,
        piece: Piece,
        state: &mut (u64, u64),
        context: &mut KeyContext<'_, u64, E>,
    ) {
        self.apply(piece, state, context);
    }

    #[inline]
    fn on_partial<E: Emit<Row>>(
        &mut self,
        portion: Portion,
        state: &mut (u64, u64),
        context: &mut KeyContext<'_, u64, E>,
    ) {
        let Portion { count, sum, due, is_hot } = portion;
        *state = (state.0 + count, state.1.wrapping_add(sum));
        if self.telling == Telling::Each {
            context.emit(Row::Applied { key: *context.key(), index: 0, due, count, is_hot });
        }
    }

    fn on_end<E: Emit<Row>>(
        &mut self,
        state: &mut (u64, u64),
        context: &mut KeyContext<'_, u64, E>,
    ) {
        tell_total(*state, context);
    }

    fn emits_on_record(&self) -> bool {
        self.telling == Telling::Each
    }
}

/// The same by records only: does not merge.
#[derive(Clone)]
pub(super) struct Alone(pub(super) Toil);

impl KeyedOperator<u64, Piece> for Alone {
    type Out = Row;
    type State = (u64, u64);
    type Partial = Never;
    const NAME: &'static str = "toil alone";

    #[inline]
    fn on_record<E: Emit<Row>>(
        &mut self,
        piece: Piece,
        state: &mut (u64, u64),
        context: &mut KeyContext<'_, u64, E>,
    ) {
        self.0.apply(piece, state, context);
    }

    fn on_partial<E: Emit<Row>>(
        &mut self,
        partial: Never,
        _: &mut (u64, u64),
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }

    fn on_end<E: Emit<Row>>(
        &mut self,
        state: &mut (u64, u64),
        context: &mut KeyContext<'_, u64, E>,
    ) {
        tell_total(*state, context);
    }

    fn emits_on_record(&self) -> bool {
        self.0.telling == Telling::Each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_is_as_old_as_its_first_record() {
        let mut portion = Portion::default();
        let mut work = Work::new(3);
        for (index, value) in [(0, 5), (1, 7)] {
            let due = 100 + index;
            portion.add(&mut work, &Piece { key: 1, index, due, value, is_hot: true });
        }
        assert_eq!(portion, Portion { count: 2, sum: 12, due: 100, is_hot: true });
    }
}
