//! q20, bids with auctions: every bid for an auction of one category.

use serde::{Deserialize, Serialize};

use crate::connector::nexmark::result::AuctionBid;
use crate::connector::nexmark::{Auction, Bid, Event, FIRST_CATEGORY};
use crate::dataflow::{Chain, DataStream, Emit, KeyContext, KeyedOperator};
use crate::nexmark::{auction_of, offer};
use crate::record::{Either, Never};

/// Every bid for an auction of the first category, with the auction, whichever of the two came
/// first.
pub fn q20<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = AuctionBid>>
where
    C: Chain<Out = Event>,
{
    events.filter_map(offer).key_by(auction_of).apply_keyed(Pairing)
}

/// Joins auctions with their bids. There is no time limit, so it keeps all auctions.
#[derive(Clone, Copy)]
struct Pairing;

/// What is known of an auction.
#[derive(Serialize, Deserialize)]
enum Offered {
    /// Nothing but bids: it opens later.
    Unknown(Vec<Bid>),
    Wanted(Auction),
    /// It is of another category.
    Unwanted,
}

impl Default for Offered {
    fn default() -> Offered {
        Offered::Unknown(Vec::new())
    }
}

impl KeyedOperator<u64, Either<Auction, Bid>> for Pairing {
    type Out = AuctionBid;
    type State = Offered;
    type Partial = Never;
    const NAME: &'static str = "pairing";

    fn on_record<E: Emit<AuctionBid>>(
        &mut self,
        record: Either<Auction, Bid>,
        state: &mut Offered,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        match (record, &mut *state) {
            (Either::Right(bid), Offered::Unknown(bids)) => bids.push(bid),
            (Either::Right(bid), Offered::Wanted(auction)) => {
                context.emit(AuctionBid::new(auction, &bid));
            }
            (Either::Left(auction), Offered::Unknown(bids))
                if auction.category == FIRST_CATEGORY =>
            {
                bids.iter().for_each(|bid| context.emit(AuctionBid::new(&auction, bid)));
                *state = Offered::Wanted(auction);
            }
            (Either::Left(_), Offered::Unknown(_)) => *state = Offered::Unwanted,
            // No auction opens twice.
            (Either::Left(_), _) | (Either::Right(_), Offered::Unwanted) => {}
        }
    }

    fn on_partial<E: Emit<AuctionBid>>(
        &mut self,
        partial: Never,
        _: &mut Offered,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }
}
