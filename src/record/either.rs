//! One of two: the record type of a chain with two outputs.

/// A record for the main output or for the side one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Either<L, R> {
    /// For the first output.
    Left(L),
    /// For the second output.
    Right(R),
}
