//! The names that nearly every program needs, and no others.

pub use crate::config::Config;
pub use crate::dataflow::{BoxedStream, DataStream, EmitAt, KeyedStream, Pipeline};
pub use crate::engine::{Engine, Job};
pub use crate::error::{Error, ErrorKind, Result};
