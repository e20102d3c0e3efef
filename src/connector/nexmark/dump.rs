//! The dump: events as JSON lines, with their strings, for programs that check results.
//!
//! One object a line, `kind` first. Times are milliseconds since the Unix epoch, prices cents.
//!
//! | `kind` | fields |
//! |---|---|
//! | `person` | `id`, `name`, `city`, `state`, `time` |
//! | `auction` | `id`, `item`, `initial_bid`, `reserve`, `time`, `expires`, `seller`, `category` |
//! | `bid` | `auction`, `bidder`, `price`, `channel`, `url`, `time`, `extra` |
//!
//! The order of lines means nothing: no query depends on it.

use std::io::{self, Write};

use serde::Serialize;

use crate::connector::nexmark::event::Event;
use crate::connector::nexmark::text::{Channel, Letters, Name, Word};
use crate::time::Timestamp;

/// One line of the dump.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Person {
        id: u64,
        name: Name,
        city: Word,
        state: Word,
        time: Timestamp,
    },
    Auction {
        id: u64,
        item: Letters,
        initial_bid: u32,
        reserve: u32,
        time: Timestamp,
        expires: Timestamp,
        seller: u64,
        category: u32,
    },
    Bid {
        auction: u64,
        bidder: u64,
        price: u32,
        channel: Channel,
        url: String,
        time: Timestamp,
        extra: Letters,
    },
}

impl From<&Event> for Line {
    fn from(event: &Event) -> Line {
        match event {
            Event::Person(person) => Line::Person {
                id: person.id,
                name: person.name,
                city: person.city,
                state: person.state,
                time: person.time,
            },
            Event::Auction(auction) => Line::Auction {
                id: auction.id,
                item: auction.item(),
                initial_bid: auction.initial_bid,
                reserve: auction.reserve,
                time: auction.time,
                expires: auction.expires(),
                seller: auction.seller,
                category: auction.category,
            },
            Event::Bid(bid) => Line::Bid {
                auction: bid.auction,
                bidder: bid.bidder,
                price: bid.price,
                channel: bid.channel,
                url: bid.channel.url(),
                time: bid.time,
                extra: bid.extra,
            },
        }
    }
}

/// Writes `event` as one line of the dump.
///
/// * `out` - is written to in small pieces, so give it a buffer.
///
/// # Errors
/// What writing to `out` fails with.
pub fn write_event(event: &Event, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line::from(event))?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::nexmark::Nexmark;

    // Made by an independent implementation of the generator, from the README.
    const LINES: [(u64, &str); 5] = [
        (
            0,
            r#"{"kind":"person","id":1000,"name":"Sarah Bartels","city":"Kent","state":"WY",
            "time":1436918400000}"#,
        ),
        (
            1,
            r#"{"kind":"auction","id":1000,"item":"fqejerkslltddv","initial_bid":187,
            "reserve":4619969,"time":1436918400000,"expires":1436918400314,"seller":1004,
            "category":12}"#,
        ),
        (
            4,
            r#"{"kind":"bid","auction":1003,"bidder":1001,"price":3204164,
            "channel":"channel-7533","url":"https://www.nexmark.com/ewgbo/xyvru/kbwj/item.htm
            ?query=1&channel_id=1165321995","time":1436918400000,"extra":"dhxhuwtzjlooid"}"#,
        ),
        (
            123_456,
            r#"{"kind":"bid","auction":8400,"bidder":3401,"price":1365,
            "channel":"channel-1909","url":"https://www.nexmark.com/hesnr/rnlge/qjrs/item.htm
            ?query=1&channel_id=1797299605","time":1436918412345,"extra":"fatpxcxkoxojaa"}"#,
        ),
        (
            500_000,
            r#"{"kind":"person","id":11000,"name":"John Noris","city":"San Francisco",
            "state":"WA","time":1436918450000}"#,
        ),
    ];

    #[test]
    fn events_of_seed_1_are_written_as_they_always_were() {
        let input = Nexmark::new(1, 10_000).unwrap();
        for (index, wrapped) in LINES {
            let line: String = wrapped.lines().map(str::trim_start).collect();
            let mut out = Vec::new();
            write_event(&input.event(index), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), line + "\n");
        }
    }
}
