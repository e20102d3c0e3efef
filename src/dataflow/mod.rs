//! The waist of the engine: operators, chains, tasks, and the graph they form.

pub mod blame;
mod by_key;
pub(crate) mod chain;
mod connector;
mod end;
mod event_time;
mod executor;
pub mod graph;
mod input;
mod keyed;
mod keyed_operator;
mod keyed_stream;
mod operator;
mod plan;
mod route;
mod sink_end;
mod stream;
mod task;
mod wakes;

pub use chain::{Chain, Identity, Then};
pub use connector::{Polled, Sink, SinkConnector, Source, SourceConnector, TaskContext};
pub use end::End;
pub use event_time::{Stamped, TimeDomain, Timed, Untimed};
pub use executor::{Errand, Executor};
pub use input::{Input, Intake};
pub use keyed::Keyed;
pub use keyed_operator::{KeyContext, KeyedOperator};
pub use keyed_stream::{EmitAt, KeyedOutput, KeyedStream};
pub use operator::{Collector, Emit, Flow, Meta, Operator, Passed, Signal};
pub(crate) use plan::Draft;
pub use plan::{BuildContext, InputHandle, TaskFactory};
pub use route::Route;
pub(crate) use stream::Row;
pub use stream::{BoxedStream, DataStream, Pipeline};
pub use task::{ChainTask, Step, StepContext, Task};
pub use wakes::Due;
