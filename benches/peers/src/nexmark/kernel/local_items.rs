//! Query 3: auctions with their sellers, whichever of the two came first.

use millstream::connector::nexmark::result::LocalItem;
use millstream::connector::nexmark::{Auction, Event, Person};

use crate::nexmark::kernel::{Kernel, Map};

/// Both sides, kept for ever.
#[derive(Clone, Default)]
pub struct LocalItems {
    persons: Map<u64, Person>,
    auctions: Map<u64, Vec<u64>>,
}

impl LocalItems {
    /// The row of an auction and its seller.
    pub fn row(person: &Person, auction: u64) -> LocalItem {
        let Person { name, city, state, .. } = *person;
        LocalItem { name, city, state, auction }
    }
}

impl Kernel for LocalItems {
    type In = Event;
    type Out = LocalItem;
    const FIRES: bool = false;

    fn take(&mut self, event: Event, out: &mut Vec<LocalItem>) {
        match event {
            Event::Person(person) => {
                let auctions = self.auctions.remove(&person.id).into_iter().flatten();
                out.extend(auctions.map(|auction| LocalItems::row(&person, auction)));
                self.persons.insert(person.id, person);
            }
            Event::Auction(Auction { id, seller, .. }) => match self.persons.get(&seller) {
                Some(person) => out.push(LocalItems::row(person, id)),
                None => self.auctions.entry(seller).or_default().push(id),
            },
            Event::Bid(_) => {}
        }
    }
}
