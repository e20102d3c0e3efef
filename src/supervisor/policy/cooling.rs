//! Cool-down: a unit that has moved stays a while, longer each time it comes back too soon.

use serde::{Deserialize, Serialize};

use crate::routing::KEY_GROUPS;
use crate::supervisor::load::Unit;
use crate::supervisor::policy::memory::Memory;
use crate::time::Nanos;

/// The first cool-down: ten ticks, enough to see what the move brought (three) and to act on it.
const PAUSE_MIN_NS: Nanos = 1_000_000_000;
/// The longest: a key that alternates every minute or slower is worth following.
const PAUSE_MAX_NS: Nanos = 60_000_000_000;
/// A unit that moves again within this time after its cool-down has come back too soon.
const RETURN_WITHIN_NS: Nanos = 10_000_000_000;

/// A unit that has moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cooling {
    pub(super) domain: usize,
    pub(super) unit: Unit,
    /// Its current cool-down.
    pause_ns: Nanos,
    /// When it may move again.
    pub(super) until: Nanos,
}

impl Cooling {
    pub(super) fn is_plausible(&self) -> bool {
        self.pause_ns <= PAUSE_MAX_NS && self.unit.group() < KEY_GROUPS
    }
}

impl Memory {
    /// Forgets units that have stayed so long that moving them is no return.
    pub(super) fn forget_cooled(&mut self, at: Nanos) {
        self.cooling.retain(|cooling| at < cooling.until.saturating_add(RETURN_WITHIN_NS));
    }

    /// Notes that `units` move at `at`, and will stay for at least `least`.
    pub(super) fn cool(&mut self, domain: usize, units: &[Unit], at: Nanos, least: Nanos) {
        for unit in units {
            let key = (domain, *unit);
            match self.cooling.binary_search_by_key(&key, |c| (c.domain, c.unit)) {
                Ok(index) => {
                    let cooling = &mut self.cooling[index];
                    cooling.pause_ns = (cooling.pause_ns * 2).min(PAUSE_MAX_NS);
                    cooling.until = at + cooling.pause_ns.max(least);
                }
                Err(index) => {
                    let until = at + PAUSE_MIN_NS.max(least);
                    let cooling = Cooling { domain, unit: *unit, pause_ns: PAUSE_MIN_NS, until };
                    self.cooling.insert(index, cooling);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Nanos = 1_000_000_000;
    const UNIT: Unit = Unit::Group(7);

    /// Seconds until the unit may move again after it has moved at `at`.
    fn pause(memory: &mut Memory, at: Nanos) -> Nanos {
        memory.forget_cooled(at);
        memory.cool(0, &[UNIT], at, 0);
        (memory.cooling(0, UNIT, at).expect("it has just moved").until - at) / S
    }

    #[test]
    fn cool_down_doubles_at_each_early_return_up_to_a_minute() {
        let (mut memory, mut at) = (Memory::default(), 0);
        let pauses: Vec<_> = (0..8)
            .map(|_| {
                let seconds = pause(&mut memory, at);
                at += (seconds + 1) * S;
                seconds
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_late_return_begins_anew() {
        let mut memory = Memory::default();
        assert_eq!(pause(&mut memory, 0), 1);
        assert_eq!(pause(&mut memory, 12 * S), 1);
    }

    #[test]
    fn a_frozen_unit_stays_as_long_as_it_was_told() {
        let mut memory = Memory::default();
        memory.cool(2, &[UNIT], 0, 10 * S);
        assert!(memory.cooling(2, UNIT, 9 * S).is_some());
        assert!(memory.cooling(2, UNIT, 10 * S).is_none());
        assert!(memory.cooling(1, UNIT, 0).is_none());
    }
}
