//! Auctions that close, each with its winning bid: what q4, q6 and q9 begin with.

use serde::{Deserialize, Serialize};

use crate::connector::nexmark::{Auction, Bid, Event};
use crate::dataflow::{Chain, DataStream, Due, Emit, Flow, KeyContext, KeyedOperator, Timed};
use crate::nexmark::{auction_of, offer, timed};
use crate::record::{Either, Never};

/// An auction and the best of the bids that came while it was open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sale {
    pub(super) auction: Auction,
    pub(super) bid: Bid,
}

/// Every auction that had a bid, when the watermark reaches the time at which it closes.
pub(super) fn sales<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = Sale, Time = Timed>>
where
    C: Chain<Out = Event>,
{
    timed(events).filter_map(offer).key_by(auction_of).apply_keyed(Closing)
}

#[derive(Clone, Copy)]
struct Closing;

/// What is known of an auction.
#[derive(Serialize, Deserialize)]
enum Bidding {
    /// Nothing but bids: it opens later, or has closed.
    Unknown(Vec<Bid>),
    Open {
        auction: Auction,
        best: Option<Bid>,
    },
}

impl Default for Bidding {
    fn default() -> Bidding {
        Bidding::Unknown(Vec::new())
    }
}

impl KeyedOperator<u64, Either<Auction, Bid>> for Closing {
    type Out = Sale;
    type State = Bidding;
    type Partial = Never;
    const NAME: &'static str = "closing";
    const FORGETS: bool = true;

    #[inline]
    fn on_record<E: Emit<Sale>>(
        &mut self,
        record: Either<Auction, Bid>,
        state: &mut Bidding,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        match (record, &mut *state) {
            (Either::Right(bid), Bidding::Open { auction, best }) => {
                let is_better = best.is_none_or(|best| bid.goodness() > best.goodness());
                if is_better && auction.is_open_at(bid.time) {
                    *best = Some(bid);
                }
            }
            (Either::Right(bid), Bidding::Unknown(bids)) => {
                // By then its auction has come, if it was open when the bid was made.
                if bids.is_empty() {
                    context.wake_at(bid.time);
                }
                bids.push(bid);
            }
            (Either::Left(auction), Bidding::Unknown(bids)) => {
                let bids = bids.iter().copied().filter(|bid| auction.is_open_at(bid.time));
                let best = bids.max_by_key(Bid::goodness);
                context.wake_at(auction.expires());
                *state = Bidding::Open { auction, best };
            }
            // No auction opens twice.
            (Either::Left(_), Bidding::Open { .. }) => {}
        }
    }

    fn on_event_time<E: Emit<Sale>>(
        &mut self,
        due: Due,
        state: &mut Bidding,
        context: &mut KeyContext<'_, u64, E>,
    ) -> Flow {
        match state {
            Bidding::Open { auction, best } if auction.expires() <= due.until => {
                if let Some(bid) = *best {
                    context.emit_at(Sale { auction: *auction, bid }, auction.expires());
                }
                *state = Bidding::default();
            }
            Bidding::Open { .. } => {}
            Bidding::Unknown(bids) => {
                bids.retain(|bid| bid.time > due.until);
                if let Some(bid) = bids.first() {
                    context.wake_at(bid.time);
                }
            }
        }
        Flow::Done
    }

    fn on_partial<E: Emit<Sale>>(
        &mut self,
        partial: Never,
        _: &mut Bidding,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }

    fn is_empty(state: &Bidding) -> bool {
        matches!(state, Bidding::Unknown(bids) if bids.is_empty())
    }

    fn emits_on_record(&self) -> bool {
        false
    }
}
