//! Questions to a running job: replies, time-outs, lost records, ends.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use millstream::connector::{Asked, replies, requests};
use millstream::prelude::*;
use millstream::record::Either;

fn start(pipeline: Pipeline) -> Job {
    let config = Config::builder().partitions(2).build();
    let engine = Engine::new(config.expect("a valid configuration")).expect("an engine");
    engine.start(pipeline).expect("it starts")
}

/// A job that squares; it drops what is above 100 and keeps 13 to itself, unanswered.
fn squares() -> Job {
    let pipeline = Pipeline::new("squares");
    let asked = pipeline.source(requests::<u64, u64>("numbers", 8));
    let (kept, rest) =
        asked.filter(|asked| asked.question <= 100).rebalance().route("kept", |asked| match asked
            .question
        {
            13 => Either::Left(asked),
            _ => Either::Right(asked),
        });
    // What is collected and never answered.
    kept.collect();
    rest.map(|asked: Asked<u64, u64>| {
        let n = asked.question;
        asked.map(|_| "mapped").reply(n * n)
    })
    .sink(replies());
    start(pipeline)
}

#[tokio::test]
async fn many_questions_at_a_time_each_get_their_own_reply() {
    let job = squares();
    let asker = job.asker::<u64, u64>("numbers").unwrap();
    let asks: Vec<_> = (0..100u64)
        .filter(|n| *n != 13)
        .map(|n| {
            let asker = asker.clone();
            tokio::spawn(async move { (n, asker.ask(n).await.unwrap()) })
        })
        .collect();
    for ask in asks {
        let (n, reply) = ask.await.unwrap();
        assert_eq!(reply, n * n);
    }
    drop(asker);
    job.join_async().await.unwrap();
}

#[test]
fn question_is_told_what_became_of_it() {
    let job = squares();
    let asker = job.asker::<u64, u64>("numbers").unwrap();
    assert_eq!(asker.ask_blocking(9).unwrap(), 81);
    assert_eq!(asker.ask_blocking(101).unwrap_err().kind(), ErrorKind::NoReply);
    let hasty = asker.clone().timeout(Duration::from_millis(20));
    let error = hasty.ask_blocking(13).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TryAgain);
    assert!(error.to_string().contains("20ms"), "{error}");
    assert_eq!(asker.ask_blocking(3).unwrap(), 9, "the job goes on");
    assert_eq!(asker.ask_blocking(4).unwrap(), 16);
    job.drain().unwrap();
    assert_eq!(asker.ask_blocking(3).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn wrong_name_and_wrong_type_are_refused() {
    let job = squares();
    for error in [job.asker::<u64, u64>("letters").err(), job.asker::<u64, String>("numbers").err()]
    {
        assert_eq!(error.unwrap().kind(), ErrorKind::InvalidConfig);
    }
    job.stop().unwrap();
}
