//! Millstream, through its public API.

use crate::work::Contender;

/// `ours` and `ours_pre_aggregated`. Empty while the library has no engine to run them, in which
/// case the report holds null for them.
pub const CONTENDERS: &[Contender] = &[];
