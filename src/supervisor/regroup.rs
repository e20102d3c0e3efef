//! Demands of ranges of keys, from one set of ranges to the next.

use crate::routing::KEY_GROUPS;
use crate::supervisor::average::Average;

/// Goes over from the ranges `before` to `now`, both in the order of keys: parts of a range that
/// was cut have equal parts of its demand at first; what was merged has what its parts had.
///
/// * `groups` - the demand of each key group.
pub(super) fn regroup(groups: &mut [Average], before: &[u16], now: &[u16]) {
    if before == now || before.is_empty() {
        return;
    }
    let is_there = |ranges: &[u16]| {
        let mut there = vec![false; KEY_GROUPS];
        ranges.iter().for_each(|group| there[usize::from(*group)] = true);
        there
    };
    let (was_there, stays) = (is_there(before), is_there(now));
    let mut kept = 0;
    for group in before.iter().map(|group| usize::from(*group)) {
        if stays[group] {
            kept = group;
        } else {
            let gone = std::mem::take(&mut groups[group]);
            groups[kept].shift(gone.value());
        }
    }
    let mut rest = now;
    while let [first, others @ ..] = rest {
        let added = others.iter().take_while(|group| !was_there[usize::from(**group)]);
        let parts = added.count();
        let whole = groups[usize::from(*first)];
        let each = whole.value() / (parts + 1) as f64;
        for group in &rest[..=parts] {
            let part = &mut groups[usize::from(*group)];
            *part = whole;
            part.shift(each - whole.value());
        }
        rest = &others[parts..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_what_the_whole_had_and_give_it_back() {
        let mut groups = vec![Average::default(); KEY_GROUPS];
        groups[0].observe(12.0);
        groups[1].observe(5.0);
        let demands = |groups: &[Average], of: &[u16]| -> Vec<f64> {
            of.iter().map(|group| groups[usize::from(*group)].value()).collect()
        };
        regroup(&mut groups, &[0, 1], &[0, 7, 3, 1]);
        assert_eq!(demands(&groups, &[0, 7, 3, 1]), [4.0, 4.0, 4.0, 5.0]);
        regroup(&mut groups, &[0, 7, 3, 1], &[0, 7, 1]);
        assert_eq!(demands(&groups, &[0, 7, 1]), [4.0, 8.0, 5.0]);
        // One is merged and its group used again elsewhere before anybody looks.
        regroup(&mut groups, &[0, 7, 1], &[0, 1, 2]);
        assert_eq!(demands(&groups, &[0, 1, 2]), [12.0, 2.5, 2.5]);
    }
}
