//! Counts the words of text files: `cargo run --release --example wordcount -- 'notes/*.md'`.

use millstream::connector::text_lines;
use millstream::prelude::*;

fn main() -> Result<()> {
    let files = std::env::args().nth(1).unwrap_or_else(|| "LICENSE-*".to_owned());
    let pipeline = Pipeline::new("wordcount");
    let counts = pipeline
        .source(text_lines(files))
        .flat_map(|line: String| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .count()
        .collect();
    let report = Engine::new(Config::from_env()?)?.run(pipeline)?;
    let mut counts = counts.take();
    counts.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    for (word, count) in counts.iter().take(5) {
        println!("{count:5} {word}");
    }
    println!("\n{report}");
    Ok(())
}
