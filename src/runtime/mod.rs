//! How a job runs: where its threads stand, and what the host lets them do.

pub mod host;
pub mod placement;
