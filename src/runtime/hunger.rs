//! When a partition without work asks for some.

use crate::time::Nanos;

/// A pause as long as this is none between two batches.
const DRY_NS: Nanos = 50_000;
/// Until it asks again if it got nothing; doubled each time up to the last.
const FIRST_WAIT_NS: Nanos = 1_000_000;
const LAST_WAIT_NS: Nanos = 64_000_000;

/// Says when to ask for work. Pure: it is told the time.
///
/// It starts over only when it got something: near full load every partition is dry now and then,
/// and starting over after any work would make a thousand questions a second.
#[derive(Debug)]
pub(super) struct Hunger {
    dry_since: Option<Nanos>,
    ask_at: Nanos,
    wait: Nanos,
}

impl Hunger {
    /// Has asked for nothing yet.
    pub(super) fn new() -> Hunger {
        Hunger { dry_since: None, ask_at: 0, wait: FIRST_WAIT_NS }
    }

    /// There was work.
    #[inline]
    pub(super) fn worked(&mut self) {
        self.dry_since = None;
    }

    /// There is none now; says whether to ask for some.
    pub(super) fn asks(&mut self, now: Nanos) -> bool {
        let dry_since = *self.dry_since.get_or_insert(now);
        if now.saturating_sub(dry_since) < DRY_NS || now < self.ask_at {
            return false;
        }
        self.ask_at = now.saturating_add(self.wait);
        self.wait = (self.wait * 2).min(LAST_WAIT_NS);
        true
    }

    /// It got something.
    pub(super) fn fed(&mut self) {
        *self = Hunger::new();
    }
}

impl Default for Hunger {
    fn default() -> Hunger {
        Hunger::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    /// When it asks, if there is no work from `from` until `until`.
    fn questions(hunger: &mut Hunger, from: Nanos, until: Nanos) -> Vec<Nanos> {
        (from..until).step_by(10_000).filter(|now| hunger.asks(*now)).collect()
    }

    #[test]
    fn asks_once_it_is_dry_and_then_at_longer_and_longer_intervals() {
        let mut hunger = Hunger::new();
        let asked = questions(&mut hunger, MS, 400 * MS);
        assert_eq!(asked[0], MS + DRY_NS);
        let waits: Vec<_> = asked.windows(2).map(|pair| (pair[1] - pair[0]) / MS).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
    }

    #[test]
    fn short_pauses_are_no_reason_to_ask_and_work_does_not_shorten_the_wait() {
        let mut hunger = Hunger::new();
        for pause in 0..100 {
            let from = pause * MS;
            assert!(questions(&mut hunger, from, from + DRY_NS).is_empty());
            hunger.worked();
        }
        assert_eq!(questions(&mut hunger, 100 * MS, 104 * MS).len(), 3);
        hunger.worked();
        let asked = questions(&mut hunger, 105 * MS, 106 * MS);
        assert!(asked.is_empty(), "4 ms have not passed");
    }

    #[test]
    fn starts_over_when_it_got_something() {
        let mut hunger = Hunger::new();
        questions(&mut hunger, 0, 200 * MS);
        hunger.fed();
        assert_eq!(questions(&mut hunger, 200 * MS, 201 * MS), [200 * MS + DRY_NS]);
    }
}
