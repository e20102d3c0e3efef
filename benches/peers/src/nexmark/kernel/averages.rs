//! Queries 4 and 6: a new mean whenever an auction closes.

use millstream::connector::nexmark::result::{CategoryAverage, SellerAverage};
use millstream::time::Timestamp;

use crate::nexmark::kernel::{Kernel, Map, Winner};

/// Count and sum of the winning bids of each category.
#[derive(Clone, Default)]
pub struct OfCategories {
    states: Map<u32, (u64, u64)>,
}

impl Kernel for OfCategories {
    type In = Winner;
    type Out = CategoryAverage;
    const FIRES: bool = false;

    #[inline]
    fn take(&mut self, winner: Winner, out: &mut Vec<CategoryAverage>) {
        let category = winner.category;
        let (count, sum) = self.states.entry(category).or_default();
        *count += 1;
        *sum += u64::from(winner.price);
        out.push(CategoryAverage { category, average: *sum / *count });
    }
}

/// The last ten auctions of a seller: those that closed latest, whatever order they come in.
#[derive(Clone, Debug, Default)]
pub struct LastTen {
    /// With their prices, from the first that closed to the last.
    closed: Vec<((Timestamp, u64), u32)>,
}

impl LastTen {
    /// Counts one more, and gives the mean.
    pub fn add(&mut self, winner: &Winner) -> u64 {
        let place = self.closed.partition_point(|(closed, _)| *closed < winner.closed);
        self.closed.insert(place, (winner.closed, winner.price));
        if self.closed.len() > 10 {
            self.closed.remove(0);
        }
        let sum: u64 = self.closed.iter().map(|(_, price)| u64::from(*price)).sum();
        sum / self.closed.len() as u64
    }
}

/// The last ten auctions of each seller.
#[derive(Clone, Default)]
pub struct OfSellers {
    states: Map<u64, LastTen>,
}

impl Kernel for OfSellers {
    type In = Winner;
    type Out = SellerAverage;
    const FIRES: bool = false;

    #[inline]
    fn take(&mut self, winner: Winner, out: &mut Vec<SellerAverage>) {
        let seller = winner.seller;
        let average = self.states.entry(seller).or_default().add(&winner);
        out.push(SellerAverage { seller, average });
    }
}
