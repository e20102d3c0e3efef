//! The hottest keys of a run, and how their shares went.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::inspect::HotKeyRow;
use crate::cli::report::timeline::thousandths;
use crate::supervisor::KeyRoute;

/// Keys of one look that are followed.
pub(super) const LOOK_MAX: usize = 16;
/// Keys that are remembered, by the most that each wanted.
const KEYS_MAX: usize = 256;
/// Keys that a page shows.
const SHOWN_MAX: usize = 32;

/// The domain's name and the key's hash.
type KeyId = (String, String);

/// What one key wanted at one look.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    id: KeyId,
    owner: u16,
    route: KeyRoute,
    share_of_core: f64,
}

/// A key that was hot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct HotKey {
    /// What was seen of it when it wanted most.
    #[serde(flatten)]
    row: HotKeyRow,
    /// When that was, since the start of the job.
    seconds: f64,
    /// When, the share of a core that it wanted, who owned it, how it was routed.
    points: Vec<(f64, f64, u16, KeyRoute)>,
}

/// Remembers the hottest keys.
#[derive(Debug, Default)]
pub(super) struct HotKeys {
    by_id: BTreeMap<KeyId, HotKey>,
}

impl HotKeys {
    /// Takes the rows of a look, hottest first, and gives those back that a sample keeps.
    pub(super) fn note(&mut self, seconds: f64, mut rows: Vec<HotKeyRow>) -> Vec<Wanted> {
        rows.truncate(LOOK_MAX);
        rows.into_iter().map(|row| self.enter(seconds, row)).collect()
    }

    fn enter(&mut self, seconds: f64, row: HotKeyRow) -> Wanted {
        let id = (row.domain.clone(), row.hash.clone());
        let HotKeyRow { owner, route, share_of_core, .. } = row;
        match self.by_id.get_mut(&id) {
            // A name may be told later than the hash.
            Some(known) if known.row.share_of_core >= share_of_core => known.row.key = row.key,
            _ => {
                self.by_id.insert(id.clone(), HotKey { row, seconds, points: Vec::new() });
                self.make_room();
            }
        }
        Wanted { id, owner, route, share_of_core }
    }

    fn make_room(&mut self) {
        if self.by_id.len() <= KEYS_MAX {
            return;
        }
        let coolest = self.by_id.iter().min_by(|(_, one), (_, other)| {
            one.row.share_of_core.total_cmp(&other.row.share_of_core)
        });
        if let Some(id) = coolest.map(|(id, _)| id.clone()) {
            self.by_id.remove(&id);
        }
    }

    /// The hottest, by what each wanted at most, with what they wanted at the `looks`: the time
    /// since the start, and the keys that were hot then.
    pub(super) fn close<'a>(
        mut self,
        looks: impl Iterator<Item = (f64, &'a [Wanted])>,
    ) -> Vec<HotKey> {
        for (seconds, wanted) in looks {
            for one in wanted {
                if let Some(key) = self.by_id.get_mut(&one.id) {
                    key.points.push((
                        seconds,
                        thousandths(one.share_of_core),
                        one.owner,
                        one.route,
                    ));
                }
            }
        }
        let mut keys: Vec<HotKey> = self.by_id.into_values().collect();
        keys.sort_by(|one, other| other.row.share_of_core.total_cmp(&one.row.share_of_core));
        keys.truncate(SHOWN_MAX);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hash: u32, share_of_core: f64, route: KeyRoute) -> HotKeyRow {
        HotKeyRow {
            domain: "count".into(),
            key: format!("#{hash:016x}"),
            hash: format!("{hash:016x}"),
            owner: 1,
            route,
            share_of_core,
            share_of_partition: 0.5,
            state_bytes: 8,
        }
    }

    #[test]
    fn keys_are_ranked_by_what_they_wanted_at_most_and_followed_at_every_look() {
        let mut keys = HotKeys::default();
        let looks = [
            (1.0, keys.note(1.0, vec![row(7, 0.9, KeyRoute::Group), row(8, 0.1, KeyRoute::Group)])),
            (2.0, keys.note(2.0, vec![row(8, 1.2, KeyRoute::Combined)])),
        ];
        let seen = keys.close(looks.iter().map(|(at, wanted)| (*at, wanted.as_slice())));
        let [one, other] = &seen[..] else { panic!("two keys, not {seen:?}") };
        assert_eq!((one.row.hash.as_str(), one.seconds), ("0000000000000008", 2.0));
        assert_eq!(one.row.route, KeyRoute::Combined);
        assert_eq!(one.points, [(1.0, 0.1, 1, KeyRoute::Group), (2.0, 1.2, 1, KeyRoute::Combined)]);
        assert_eq!((other.row.share_of_core, other.points.len()), (0.9, 1));
    }

    #[test]
    fn a_name_that_is_told_late_is_shown() {
        let mut keys = HotKeys::default();
        keys.note(1.0, vec![row(7, 0.9, KeyRoute::Group)]);
        let named = HotKeyRow { key: "7".into(), ..row(7, 0.5, KeyRoute::Override) };
        keys.note(2.0, vec![named]);
        let seen = keys.close(std::iter::empty());
        assert_eq!((seen[0].row.key.as_str(), seen[0].row.share_of_core), ("7", 0.9));
    }

    #[test]
    fn the_hottest_are_kept_however_many_there_are() {
        let mut keys = HotKeys::default();
        for hash in 0..5_000u32 {
            let share = f64::from(hash.wrapping_mul(2_654_435_761) >> 8);
            assert_eq!(keys.note(0.0, vec![row(hash, share, KeyRoute::Group); 40]).len(), LOOK_MAX);
        }
        assert_eq!(keys.by_id.len(), KEYS_MAX);
        let mut all: Vec<u32> = (0..5_000u32).map(|h| h.wrapping_mul(2_654_435_761) >> 8).collect();
        all.sort_unstable();
        let seen = keys.close(std::iter::empty());
        let shares: Vec<u32> = seen.iter().map(|key| key.row.share_of_core as u32).collect();
        let expected: Vec<u32> = all.into_iter().rev().take(SHOWN_MAX).collect();
        assert_eq!(shares, expected);
    }
}
