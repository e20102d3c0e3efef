//! q8, new sellers: persons who sell in the ten seconds in which they registered.

use crate::connector::nexmark::result::NewSeller;
use crate::connector::nexmark::{Event, Name};
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::{WINDOW, timed};
use crate::operator::window::tumbling;
use crate::state::aggregate::Aggregate;

/// Of every ten seconds the persons who have registered and opened an auction in them.
pub fn q8<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = NewSeller>>
where
    C: Chain<Out = Event>,
{
    timed(events)
        .filter_map(step)
        .key_by(|step| step.person)
        .window(tumbling(WINDOW))
        .aggregate(BothSteps)
        .filter_map(|one| {
            let row = |name| NewSeller { window: one.window.start, person: one.key, name };
            one.value.map(row)
        })
}

/// Somebody registers, with her name, or opens an auction.
#[derive(Clone, Copy)]
struct Step {
    person: u64,
    name: Option<Name>,
}

fn step(event: Event) -> Option<Step> {
    match event {
        Event::Person(person) => Some(Step { person: person.id, name: Some(person.name) }),
        Event::Auction(auction) => Some(Step { person: auction.seller, name: None }),
        Event::Bid(_) => None,
    }
}

/// The name of a person who has taken both steps.
#[derive(Clone, Copy)]
struct BothSteps;

impl Aggregate<Step> for BothSteps {
    /// Her name, and whether she has opened an auction.
    type Accumulator = (Option<Name>, bool);
    type Output = Option<Name>;

    #[inline]
    fn add(&self, (name, sells): &mut Self::Accumulator, step: &Step) {
        *name = name.or(step.name);
        *sells |= step.name.is_none();
    }

    fn merge(&self, (name, sells): &mut Self::Accumulator, from: Self::Accumulator) {
        *name = name.or(from.0);
        *sells |= from.1;
    }

    fn finish(&self, (name, sells): &Self::Accumulator) -> Option<Name> {
        name.filter(|_| *sells)
    }
}
