//! Counts the words of text files into sorted files: `cargo run --release --example sorted --
//! 'notes/*.md' counts`. Then `cat counts/*` is in the order of the alphabet.
//!
//! Each partition has a part of the alphabet, learned from the words that come.

use millstream::connector::{file_sink, text_lines};
use millstream::prelude::*;
use millstream::routing::Ranges;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let files = arguments.next().unwrap_or_else(|| "LICENSE-*".to_owned());
    let output = arguments.next().unwrap_or_else(|| "target/sorted".to_owned());
    let pipeline = Pipeline::new("sorted");
    pipeline
        .source(text_lines(files))
        .flat_map(|line: String| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .partition_by(Ranges::learned())
        .count()
        .map(|(word, count)| format!("{word} {count}"))
        .sink(file_sink(output));
    println!("{}", Engine::new(Config::from_env()?)?.run(pipeline)?);
    Ok(())
}
