//! An operator of one's own: passes on what has changed since the record before.

use millstream::connector::{iterator, stdout};
use millstream::dataflow::{Collector, Emit, Operator};
use millstream::prelude::*;

/// Drops records that equal the one before.
#[derive(Clone, Default)]
struct Changes<T>(Option<T>);

impl<T: PartialEq + Clone + Send + 'static> Operator<T> for Changes<T> {
    type Out = T;
    const NAME: &'static str = "changes";

    fn on_record<E: Emit<T>>(&mut self, record: T, out: &mut Collector<'_, E>) {
        if self.0.as_ref() != Some(&record) {
            self.0 = Some(record.clone());
            out.emit(record);
        }
    }
}

fn main() -> Result<()> {
    let pipeline = Pipeline::new("changes");
    let readings = iterator([20, 20, 21, 21, 21, 20]);
    pipeline.source(readings).apply(Changes::default()).sink(stdout());
    Engine::new(Config::from_env()?)?.run(pipeline)?;
    Ok(())
}
