//! q3, local items: auctions of one category whose sellers live in one of three states.

use serde::{Deserialize, Serialize};

use crate::connector::nexmark::result::LocalItem;
use crate::connector::nexmark::{Event, FIRST_CATEGORY, Person};
use crate::dataflow::{Chain, DataStream, Emit, KeyContext, KeyedOperator};
use crate::record::{Either, Never};

/// Every auction of the first category whose seller lives in Oregon, Idaho or California,
/// whichever of the two came first.
pub fn q3<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = LocalItem>>
where
    C: Chain<Out = Event>,
{
    events.filter_map(of_interest).key_by(seller_of).apply_keyed(LocalItems)
}

/// What may come to a row.
type Local = Either<Person, Item>;

/// An auction of the first category.
#[derive(Clone, Copy)]
struct Item {
    auction: u64,
    seller: u64,
}

fn of_interest(event: Event) -> Option<Local> {
    match event {
        Event::Person(person) => {
            let is_local = ["OR", "ID", "CA"].iter().any(|state| person.state == *state);
            is_local.then_some(Either::Left(person))
        }
        Event::Auction(auction) => (auction.category == FIRST_CATEGORY)
            .then_some(Either::Right(Item { auction: auction.id, seller: auction.seller })),
        Event::Bid(_) => None,
    }
}

fn seller_of(local: &Local) -> u64 {
    match local {
        Either::Left(person) => person.id,
        Either::Right(item) => item.seller,
    }
}

/// Joins sellers with what they sell. There is no time limit, so it keeps all of them.
#[derive(Clone, Copy)]
struct LocalItems;

/// What is known of a seller.
#[derive(Serialize, Deserialize)]
enum Seller {
    /// Nothing but what she sells: she registers later, or lives elsewhere.
    Unknown(Vec<u64>),
    Local(Person),
}

impl Default for Seller {
    fn default() -> Seller {
        Seller::Unknown(Vec::new())
    }
}

fn row(seller: &Person, auction: u64) -> LocalItem {
    LocalItem { name: seller.name, city: seller.city, state: seller.state, auction }
}

impl KeyedOperator<u64, Local> for LocalItems {
    type Out = LocalItem;
    type State = Seller;
    type Partial = Never;
    const NAME: &'static str = "local_items";

    fn on_record<E: Emit<LocalItem>>(
        &mut self,
        record: Local,
        state: &mut Seller,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        match (record, &mut *state) {
            (Either::Left(person), Seller::Unknown(auctions)) => {
                auctions.iter().for_each(|auction| context.emit(row(&person, *auction)));
                *state = Seller::Local(person);
            }
            // Nobody registers twice.
            (Either::Left(_), Seller::Local(_)) => {}
            (Either::Right(item), Seller::Unknown(auctions)) => auctions.push(item.auction),
            (Either::Right(item), Seller::Local(person)) => context.emit(row(person, item.auction)),
        }
    }

    fn on_partial<E: Emit<LocalItem>>(
        &mut self,
        partial: Never,
        _: &mut Seller,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }
}
