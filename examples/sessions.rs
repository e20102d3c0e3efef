//! Web clicks cut into visits: `cargo run --release --example sessions`.

use std::time::Duration;

use millstream::connector::iterator;
use millstream::operator::window::session;
use millstream::prelude::*;
use millstream::time::watermark::BoundedDisorder;

fn main() -> Result<()> {
    // Visitor, page, and milliseconds; not quite in order.
    let clicks = [
        ("ann", "/", 0),
        ("bob", "/", 20_000),
        ("ann", "/tea", 65_000),
        ("ann", "/jam", 60_000),
        ("bob", "/tea", 1_900_000),
        ("ann", "/", 4_000_000),
    ];
    let pipeline = Pipeline::new("sessions");
    let visits = pipeline
        .source(iterator(clicks))
        .assign_timestamps(|click| click.2, BoundedDisorder::new(Duration::from_secs(10)))
        .key_by(|click| click.0)
        .window(session(Duration::from_secs(30 * 60)))
        .count()
        .collect();
    Engine::new(Config::from_env()?)?.run(pipeline)?;
    let mut visits = visits.take();
    visits.sort_by_key(|visit| (visit.key, visit.window));
    for visit in visits {
        println!("{} from {}: {} clicks", visit.key, visit.window.start, visit.value);
    }
    Ok(())
}
