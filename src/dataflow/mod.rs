//! The waist of the engine: operators, chains, tasks, and the graph they form.

mod connector;

pub use connector::{Polled, Sink, SinkConnector, Source, SourceConnector, TaskContext};
