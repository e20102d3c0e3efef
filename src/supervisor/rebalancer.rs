//! From looks at partitions to actions: one observer, one adviser, and what is still to be done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::runtime::Look;
use crate::supervisor::account::Account;
use crate::supervisor::adviser::Adviser;
use crate::supervisor::decision::{Action, Decision, Verdict};
use crate::supervisor::grants::{Denied, Grants};
use crate::supervisor::load::{LoadView, Occasion, may_relieve};
use crate::supervisor::observer::Observer;
use crate::supervisor::policy::Balanced;
use crate::time::Nanos;

/// What was decided on one view.
pub struct Logged<'a> {
    /// What was seen.
    pub view: &'a LoadView,
    /// The built-in policy before it was asked; `None` for a user's own.
    pub policy: Option<&'a Balanced>,
    /// What was decided.
    pub decisions: &'a [Decision],
    /// Actions of views before that did not begin, each with the reason.
    pub not_begun: &'a [Decision],
}

/// Gets every view on which something was decided, or before which an action was given up.
pub type DecisionLog = Box<dyn FnMut(&Logged<'_>) + Send>;

/// A sample that is older says little about now: after a shift, nothing about the keys that it is
/// about.
const FRESH_NS: Nanos = 20_000_000;

/// How closely partitions are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What waits for them.
    Glance,
    /// Also what their keys cost.
    Sample,
}

/// Decides what one job's supervisor does about the load. Has no clock and no thread.
pub struct Rebalancer {
    observer: Observer,
    adviser: Adviser,
    log: Option<DecisionLog>,
    account: Arc<Mutex<Account>>,
    /// The looks that have come, while others are awaited.
    looks: Vec<Option<Look>>,
    awaited: usize,
    occasion: Occasion,
    depth: Depth,
    /// When the last samples were taken.
    sampled_at: Nanos,
    /// Whether ranges of keys have no bounds yet.
    learns: bool,
    /// What is to be done, in order, and has not begun.
    pending: VecDeque<Decision>,
    /// What was to be done since the last view, and was not.
    not_begun: Vec<Decision>,
}

impl Rebalancer {
    /// Looks after so many partitions and domains, with the advice of `adviser`.
    pub fn new(partitions: usize, domains: usize, adviser: Adviser) -> Rebalancer {
        Rebalancer {
            observer: Observer::new(partitions, domains),
            adviser,
            log: None,
            account: Arc::default(),
            looks: vec![None; partitions],
            awaited: 0,
            occasion: Occasion::Tick,
            depth: Depth::Sample,
            sampled_at: 0,
            learns: true,
            pending: VecDeque::new(),
            not_begun: Vec::new(),
        }
    }

    /// Tells `log` of every view on which something is decided.
    #[must_use]
    pub fn logged(mut self, log: Option<DecisionLog>) -> Rebalancer {
        self.log = log;
        self
    }

    /// Keeps what it last saw and decided in `account`, for whoever asks.
    pub fn report_to(&mut self, account: &Arc<Mutex<Account>>) {
        self.account = Arc::clone(account);
    }

    /// Whether a look at the others may find work for `thief`: one of them was short of time when
    /// they were looked at last. Where nobody is, partitions without work are left to sleep. What
    /// has been decided and has not begun comes first: a look would drop it, and partitions run dry
    /// just when there is something to be done.
    pub fn may_help(&self, thief: usize) -> bool {
        self.pending.is_empty() && self.observer.has_busy(thief)
    }

    /// Whether some partition owns no range of keys yet, where keys lie in ranges.
    pub fn learns(&self) -> bool {
        self.learns
    }

    /// Begins to look at all partitions; `false` if it still waits for some of them.
    pub fn begin(&mut self, occasion: Occasion, depth: Depth) -> bool {
        if self.awaited > 0 {
            return false;
        }
        (self.occasion, self.depth) = (occasion, depth);
        self.awaited = self.looks.len();
        true
    }

    /// Takes what a partition says; `true` if all have answered and it can [decide](Self::decide).
    pub fn take(&mut self, partition: usize, look: Option<Look>) -> bool {
        self.looks[partition] = look;
        self.awaited -= 1;
        self.awaited == 0
    }

    /// Decides what to do next. What had been decided before and has not begun is dropped: the
    /// policy sees that it was not done.
    ///
    /// A partition that asks is answered only if another is far enough behind. Returns the occasion
    /// where a closer look has to come first, since what keys cost was last seen too long ago.
    pub fn decide(&mut self, at: Nanos, grants: &Grants) -> Option<Occasion> {
        while !self.pending.is_empty() {
            self.drop_next(at, "it had not begun when the load was looked at again");
        }
        match self.depth {
            Depth::Sample => {
                self.observer.observe(std::mem::take(&mut self.looks), grants);
                self.sampled_at = at;
            }
            Depth::Glance => self.observer.glance(&self.looks),
        }
        let partitions = self.observer.partitions();
        self.looks.resize(partitions.len(), None);
        if let Occasion::Ask(thief) = self.occasion {
            let is_worth_it = may_relieve(&partitions, thief);
            let is_stale = at.saturating_sub(self.sampled_at) > FRESH_NS;
            if !is_worth_it || is_stale {
                return is_worth_it.then_some(self.occasion);
            }
        }
        let view = self.observer.view(at, self.occasion, grants);
        let before = self.log.as_ref().and_then(|_| self.adviser.built_in().cloned());
        self.learns = view.domains.iter().any(|domain| {
            let owner = |group: &u16| domain.owners[usize::from(*group)];
            let mut owners: Vec<u16> = domain.ranges.iter().map(owner).collect();
            owners.dedup();
            !owners.is_empty() && owners.len() < view.partitions.len()
        });
        let decisions = self.adviser.plan(&view);
        let not_begun = std::mem::take(&mut self.not_begun);
        if let Some(log) = &mut self.log
            && !(decisions.is_empty() && not_begun.is_empty())
        {
            let (decisions, not_begun) = (&*decisions, &*not_begun);
            log(&Logged { view: &view, policy: before.as_ref(), decisions, not_begun });
        }
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.note(&view, &decisions);
        self.pending =
            decisions.into_iter().filter(|decision| decision.action().is_some()).collect();
        None
    }

    /// What is to be done next, if anything.
    pub fn next(&self) -> Option<&Action> {
        self.pending.front().and_then(Decision::action)
    }

    /// The next action has begun.
    pub fn advance(&mut self) {
        self.pending.pop_front();
    }

    /// The next action cannot be: says so to whoever asks, and forgets it.
    pub fn deny(&mut self, at: Nanos, why: Denied) {
        self.drop_next(at, &why.to_string());
    }

    fn drop_next(&mut self, at: Nanos, why: &str) {
        let Some(mut decision) = self.pending.pop_front() else { return };
        if let Verdict::Act { action, .. } = decision.verdict {
            decision.verdict = Verdict::Refused { action, why: why.to_owned() };
            let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
            account.note_refusal(at, decision.clone());
            self.not_begun.push(decision);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::TaskLook;
    use crate::routing::Domain;
    use crate::supervisor::decision::Rule;
    use crate::supervisor::grants::Movable;
    use crate::supervisor::load::Unit;
    use crate::supervisor::policy::RebalancePolicy;

    /// Wants group 0 to move at the view of this number, the first one being 1.
    struct Once(u32);

    impl RebalancePolicy for Once {
        fn name(&self) -> &str {
            "once"
        }

        fn plan(&mut self, _: &LoadView) -> Vec<Decision> {
            let units = vec![Unit::Group(0)];
            let action = Action::Move { domain: 0, units, from: 0, to: 1 };
            let verdict = Verdict::Act { action, gain_ns: 1, cost_ns: 1 };
            let decision = Decision { number: 1, rule: Rule::Other, seen: "once".into(), verdict };
            self.0 = self.0.wrapping_sub(1);
            if self.0 == 0 { vec![decision] } else { Vec::new() }
        }
    }

    fn grants() -> Grants {
        let movable = Movable {
            domain: Arc::new(Domain::new(0, 2)),
            name: "count".into(),
            unmovable: None,
            unmergeable: None,
            related: Vec::new(),
        };
        Grants::new(vec![movable], 2, 1)
    }

    fn tick(rebalancer: &mut Rebalancer, at: Nanos) {
        assert!(rebalancer.begin(Occasion::Tick, Depth::Sample));
        assert!(!rebalancer.begin(Occasion::Ask(1), Depth::Glance), "it waits for the partitions");
        assert!(!rebalancer.take(1, Some(Look { at, ..Look::default() })));
        assert!(rebalancer.take(0, Some(Look { at, ..Look::default() })));
        assert_eq!(rebalancer.decide(at, &grants()), None);
    }

    /// What `account` has been told.
    fn told(account: &Mutex<Account>) -> Vec<(Nanos, String)> {
        let account = account.lock().expect("nobody panics");
        account.decisions().map(|(at, decision)| (*at, decision.to_string())).collect()
    }

    #[test]
    fn what_cannot_begin_is_told_and_what_has_not_begun_is_dropped() {
        let once = || Adviser::new(Box::new(Once(1)));
        let (mut rebalancer, account) = (Rebalancer::new(2, 1, once()), Arc::default());
        rebalancer.report_to(&account);
        tick(&mut rebalancer, 100);
        assert!(matches!(rebalancer.next(), Some(Action::Move { from: 0, to: 1, .. })));
        rebalancer.deny(150, Denied::Draining);
        assert_eq!(rebalancer.next(), None);
        let texts = told(&account);
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[1].0, 150);
        assert!(texts[1].1.ends_with("partition 0 to 1: the job is about to end"), "{texts:?}");

        let (mut rebalancer, account) = (Rebalancer::new(2, 1, once()), Arc::default());
        rebalancer.report_to(&account);
        tick(&mut rebalancer, 100);
        tick(&mut rebalancer, 200);
        assert_eq!(rebalancer.next(), None);
        let texts = told(&account);
        assert!(texts[1].1.ends_with("when the load was looked at again"), "{texts:?}");
    }

    #[test]
    fn the_log_has_what_was_left_undone_in_its_next_line() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        let log: DecisionLog = Box::new(move |logged| {
            let count = (logged.decisions.len(), logged.not_begun.len());
            written.lock().expect("nobody panics").push((logged.view.at, count));
        });
        let policy = Adviser::new(Box::new(Once(1)));
        let mut rebalancer = Rebalancer::new(2, 1, policy).logged(Some(log));
        tick(&mut rebalancer, 100);
        rebalancer.deny(150, Denied::Draining);
        tick(&mut rebalancer, 200);
        tick(&mut rebalancer, 300);
        assert_eq!(*lines.lock().expect("nobody panics"), [(100, (1, 0)), (200, (0, 1))]);
    }

    #[test]
    fn nobody_is_helped_before_what_was_decided_has_begun() {
        let mut rebalancer = Rebalancer::new(2, 1, Adviser::new(Box::new(Once(2))));
        let mut helps = Vec::new();
        for at in [100, 200, 300] {
            assert!(rebalancer.begin(Occasion::Tick, Depth::Sample));
            rebalancer.take(1, Some(Look { at, time_ns: [0, at, 0], ..Look::default() }));
            rebalancer.take(0, Some(Look { at, time_ns: [at, 0, 0], ..Look::default() }));
            assert_eq!(rebalancer.decide(at, &grants()), None);
            helps.push((rebalancer.observer.has_busy(1), rebalancer.may_help(1)));
        }
        assert_eq!(helps[1..], [(true, false), (true, true)]);
    }

    #[test]
    fn who_may_help_is_asked_again_by_what_keys_cost_now() {
        let mut rebalancer = Rebalancer::new(2, 1, Adviser::new(Box::new(Once(9))));
        let work = |busy_ns, received, backlog| TaskLook {
            busy_ns,
            received,
            backlog,
            ..TaskLook::default()
        };
        let mut look = |at, depth, task| {
            let occasion = if at == 0 { Occasion::Tick } else { Occasion::Ask(1) };
            assert!(rebalancer.begin(occasion, depth));
            rebalancer.take(1, Some(Look { at, ..Look::default() }));
            rebalancer.take(0, Some(Look { at, tasks: vec![task], ..Look::default() }));
            rebalancer.decide(at, &grants())
        };
        // A record costs a microsecond.
        assert_eq!(look(0, Depth::Sample, work(1_000_000, 1_000, 0)), None);
        let (soon, later) = (FRESH_NS / 2, 2 * FRESH_NS);
        assert_eq!(look(soon, Depth::Glance, work(2_000_000, 2_000, 5_000)), None, "it is fresh");
        assert_eq!(look(later, Depth::Glance, work(3_000_000, 3_000, 0)), None, "nothing waits");
        let again = look(later, Depth::Glance, work(3_000_000, 3_000, 5_000));
        assert_eq!(again, Some(Occasion::Ask(1)));
        assert_eq!(look(later, Depth::Sample, work(3_000_000, 3_000, 5_000)), None);
    }
}
