//! Asks a running job: it counts per word how often it was asked, and replies with that.

use millstream::connector::{Answer, Asked, replies, requests};
use millstream::dataflow::Emit;
use millstream::operator::{ProcessContext, ProcessFunction};
use millstream::prelude::*;

#[derive(Clone)]
struct Count;

impl ProcessFunction<String, Asked<String, u64>> for Count {
    type Out = Answer<u64>;
    type State = u64;
    const NAME: &'static str = "count";

    fn on_record<E: Emit<Answer<u64>>>(
        &mut self,
        asked: Asked<String, u64>,
        count: &mut u64,
        context: &mut ProcessContext<'_, '_, String, E>,
    ) {
        *count += 1;
        context.emit(asked.reply(*count));
    }
}

fn main() -> Result<()> {
    let pipeline = Pipeline::new("counts");
    let asked = pipeline.source(requests::<String, u64>("counts", 64));
    asked.key_by(|asked| asked.question.clone()).process(Count).sink(replies());
    let job = Engine::new(Config::from_env()?)?.start(pipeline)?;

    let counts = job.asker::<String, u64>("counts")?;
    for word in "to be or not to be".split(' ') {
        println!("{word} {}", counts.ask_blocking(word.to_owned())?);
    }
    drop(counts);
    job.join()?;
    Ok(())
}
