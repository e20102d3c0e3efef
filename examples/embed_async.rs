//! Feeds a job from async code and awaits its results, inside a tokio program.

use millstream::connector::{channel, channel_sink};
use millstream::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (totals, mut results) = channel_sink(16);
    let pipeline = Pipeline::new("orders");
    pipeline
        .source(channel::<(&str, u64)>("orders", 1_024))
        .key_by(|(customer, _)| *customer)
        .emit_at(EmitAt::EachRecord)
        .sum(|(_, price)| *price)
        .sink(totals);
    let job = Engine::new(Config::default())?.start(pipeline)?;

    let orders = job.input::<(&str, u64)>("orders")?;
    for order in [("ada", 30), ("bob", 5), ("ada", 12)] {
        orders.send(order).await?;
        if let Some((customer, total)) = results.recv().await {
            println!("{customer} has ordered for {total}");
        }
    }
    drop(orders);
    println!("{} orders", job.join_async().await?.records);
    Ok(())
}
