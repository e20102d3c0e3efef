//! `round robin`: one partition after the other. What `rebalance` uses.

use crate::routing::Partitioner;

/// Deals records out one by one, from partition 0 on.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    next: usize,
}

impl<T> Partitioner<T> for RoundRobin {
    fn name(&self) -> String {
        "round robin".into()
    }

    #[inline]
    fn partition(&mut self, _record: &T, partitions: usize) -> usize {
        let chosen = if self.next < partitions { self.next } else { 0 };
        self.next = chosen + 1;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_round() {
        let mut robin = RoundRobin::default();
        let seen: Vec<usize> = (0..7).map(|record| robin.partition(&record, 3)).collect();
        assert_eq!(seen, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn fewer_partitions_than_before_start_again_at_the_first() {
        let mut robin = RoundRobin::default();
        for record in 0..5 {
            robin.partition(&record, 8);
        }
        assert_eq!(robin.partition(&5, 2), 0);
    }
}
