//! The four kinds of joins: whether a row without a match comes out, and as what.

use serde::{Deserialize, Serialize};

use crate::operator::window::Change;

/// Which rows come out of a join, and as what.
pub trait JoinKind<L, R>: Clone + Send + 'static {
    /// A row of the result.
    type Out: Send + 'static;
    /// What a join emits that may have to take a row back: rows themselves where it never does.
    type Update: Send + 'static;
    /// Whether left rows without a match come out.
    const LEFT: bool;
    /// Whether right rows without a match come out.
    const RIGHT: bool;

    /// Of two rows that match.
    fn pair(left: L, right: R) -> Self::Out;

    /// Of a left row without a match; `None` where such rows do not come out.
    fn left(left: &L) -> Option<Self::Out>;

    /// Of a right row without a match; `None` where such rows do not come out.
    fn right(right: &R) -> Option<Self::Out>;

    /// `row` holds from now on, or no longer.
    fn update(change: Change, row: Self::Out) -> Self::Update;
}

/// A row of a result that may be taken back, and whether it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Update<V> {
    /// Whether the row holds from now on, or no longer.
    pub change: Change,
    /// The row.
    pub row: V,
}

/// A row of a left outer join.
pub type LeftRow<L, R> = (L, Option<R>);

/// A row of a right outer join.
pub type RightRow<L, R> = (Option<L>, R);

/// A row of a full outer join; at least one side is there.
pub type FullRow<L, R> = (Option<L>, Option<R>);

/// What a left outer join emits that may have to take a row back.
pub type LeftUpdate<L, R> = Update<LeftRow<L, R>>;

/// What a right outer join emits that may have to take a row back.
pub type RightUpdate<L, R> = Update<RightRow<L, R>>;

/// What a full outer join emits that may have to take a row back.
pub type FullUpdate<L, R> = Update<FullRow<L, R>>;

/// Rows that match.
#[derive(Clone, Copy, Debug)]
pub enum Inner {}

/// Rows that match, and left ones without a match.
#[derive(Clone, Copy, Debug)]
pub enum LeftOuter {}

/// Rows that match, and right ones without a match.
#[derive(Clone, Copy, Debug)]
pub enum RightOuter {}

/// Rows that match, and those of both sides without a match.
#[derive(Clone, Copy, Debug)]
pub enum FullOuter {}

impl<L: Send + 'static, R: Send + 'static> JoinKind<L, R> for Inner {
    type Out = (L, R);
    type Update = (L, R);
    const LEFT: bool = false;
    const RIGHT: bool = false;

    #[inline]
    fn pair(left: L, right: R) -> (L, R) {
        (left, right)
    }

    #[inline]
    fn left(_: &L) -> Option<(L, R)> {
        None
    }

    #[inline]
    fn right(_: &R) -> Option<(L, R)> {
        None
    }

    /// Always a pair that holds: only rows without a match are ever taken back.
    #[inline]
    fn update(_: Change, row: (L, R)) -> (L, R) {
        row
    }
}

impl<L: Clone + Send + 'static, R: Send + 'static> JoinKind<L, R> for LeftOuter {
    type Out = LeftRow<L, R>;
    type Update = LeftUpdate<L, R>;
    const LEFT: bool = true;
    const RIGHT: bool = false;

    #[inline]
    fn pair(left: L, right: R) -> LeftRow<L, R> {
        (left, Some(right))
    }

    #[inline]
    fn left(left: &L) -> Option<LeftRow<L, R>> {
        Some((left.clone(), None))
    }

    #[inline]
    fn right(_: &R) -> Option<LeftRow<L, R>> {
        None
    }

    #[inline]
    fn update(change: Change, row: LeftRow<L, R>) -> Self::Update {
        Update { change, row }
    }
}

impl<L: Send + 'static, R: Clone + Send + 'static> JoinKind<L, R> for RightOuter {
    type Out = RightRow<L, R>;
    type Update = RightUpdate<L, R>;
    const LEFT: bool = false;
    const RIGHT: bool = true;

    #[inline]
    fn pair(left: L, right: R) -> RightRow<L, R> {
        (Some(left), right)
    }

    #[inline]
    fn left(_: &L) -> Option<RightRow<L, R>> {
        None
    }

    #[inline]
    fn right(right: &R) -> Option<RightRow<L, R>> {
        Some((None, right.clone()))
    }

    #[inline]
    fn update(change: Change, row: RightRow<L, R>) -> Self::Update {
        Update { change, row }
    }
}

impl<L: Clone + Send + 'static, R: Clone + Send + 'static> JoinKind<L, R> for FullOuter {
    type Out = FullRow<L, R>;
    type Update = FullUpdate<L, R>;
    const LEFT: bool = true;
    const RIGHT: bool = true;

    #[inline]
    fn pair(left: L, right: R) -> (Option<L>, Option<R>) {
        (Some(left), Some(right))
    }

    #[inline]
    fn left(left: &L) -> Option<FullRow<L, R>> {
        Some((Some(left.clone()), None))
    }

    #[inline]
    fn right(right: &R) -> Option<FullRow<L, R>> {
        Some((None, Some(right.clone())))
    }

    #[inline]
    fn update(change: Change, row: FullRow<L, R>) -> Self::Update {
        Update { change, row }
    }
}
