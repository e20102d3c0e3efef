//! The waist of the engine: operators, chains, tasks, and the graph they form.

pub mod blame;
mod by_key;
pub(crate) mod chain;
mod connector;
mod end;
pub mod graph;
mod input;
mod keyed;
mod keyed_stream;
mod operator;
mod plan;
mod stream;
mod task;

pub use chain::{Chain, Identity, Then};
pub use connector::{Polled, Sink, SinkConnector, Source, SourceConnector, TaskContext};
pub use end::{End, Route};
pub use input::Input;
pub use keyed::{KeyContext, Keyed, KeyedOperator};
pub use keyed_stream::{EmitAt, KeyedOutput, KeyedStream};
pub use operator::{Collector, Emit, Flow, Meta, Operator, Signal};
pub(crate) use plan::Draft;
pub use plan::{BuildContext, InputHandle, TaskFactory};
pub use stream::{BoxedStream, DataStream, Pipeline};
pub use task::{ChainTask, Step, StepContext, Task};
