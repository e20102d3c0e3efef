//! Counts words by their length, in ten lines.

use millstream::connector::collection;
use millstream::prelude::*;

fn main() -> Result<()> {
    let pipeline = Pipeline::new("hello");
    let counts = pipeline
        .source(collection(vec!["to", "be", "or", "not", "to", "be"]))
        .map(str::len)
        .key_by(|length| *length)
        .count()
        .collect();
    let report = Engine::new(Config::from_env()?)?.run(pipeline)?;
    for (length, words) in counts.take() {
        println!("{words} words of {length} letters");
    }
    println!("{report}");
    Ok(())
}
