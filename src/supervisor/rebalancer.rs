//! From looks at partitions to actions: one observer, one adviser, and what is still to be done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::runtime::Look;
use crate::supervisor::account::Account;
use crate::supervisor::adviser::Adviser;
use crate::supervisor::decision::{Action, Decision, Verdict};
use crate::supervisor::grants::{Denied, Grants};
use crate::supervisor::load::{LoadView, Occasion};
use crate::supervisor::observer::Observer;
use crate::supervisor::policy::Balanced;
use crate::time::Nanos;

/// Gets every view on which something was decided: the view, the built-in policy before it was
/// asked (`None` for a user's own), and the decisions.
pub type DecisionLog = Box<dyn FnMut(&LoadView, Option<&Balanced>, &[Decision]) + Send>;

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
    /// Whether ranges of keys have no bounds yet.
    learns: bool,
    /// What is to be done, in order, and has not begun.
    pending: VecDeque<Decision>,
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
            learns: true,
            pending: VecDeque::new(),
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
    /// they were looked at last. Where nobody is, partitions without work are left to sleep.
    pub fn may_help(&self, thief: usize) -> bool {
        self.observer.has_busy(thief)
    }

    /// Whether some partition owns no range of keys yet, where keys lie in ranges.
    pub fn learns(&self) -> bool {
        self.learns
    }

    /// Begins to look at all partitions; `false` if it still waits for some of them.
    pub fn begin(&mut self, occasion: Occasion) -> bool {
        if self.awaited > 0 {
            return false;
        }
        self.occasion = occasion;
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
    pub fn decide(&mut self, at: Nanos, grants: &Grants) {
        match self.occasion {
            Occasion::Tick => self.observer.observe(std::mem::take(&mut self.looks), grants),
            Occasion::Ask(_) => self.observer.glance(&self.looks),
        }
        let view = self.observer.view(at, self.occasion, grants);
        self.looks.resize(view.partitions.len(), None);
        let before = self.log.as_ref().and_then(|_| self.adviser.built_in().cloned());
        self.learns = view.domains.iter().any(|domain| {
            let owner = |group: &u16| domain.owners[usize::from(*group)];
            let mut owners: Vec<u16> = domain.ranges.iter().map(owner).collect();
            owners.dedup();
            !owners.is_empty() && owners.len() < view.partitions.len()
        });
        let decisions = self.adviser.plan(&view);
        if let Some(log) = &mut self.log
            && !decisions.is_empty()
        {
            log(&view, before.as_ref(), &decisions);
        }
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.note(&view, &decisions);
        self.pending =
            decisions.into_iter().filter(|decision| decision.action().is_some()).collect();
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
        let Some(mut decision) = self.pending.pop_front() else { return };
        if let Verdict::Act { action, .. } = decision.verdict {
            decision.verdict = Verdict::Refused { action, why: why.to_string() };
            let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
            account.note_refusal(at, decision);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Domain;
    use crate::supervisor::decision::Rule;
    use crate::supervisor::grants::Movable;
    use crate::supervisor::load::Unit;
    use crate::supervisor::policy::RebalancePolicy;

    /// Wants group 0 to move at its first view.
    struct Once(bool);

    impl RebalancePolicy for Once {
        fn name(&self) -> &str {
            "once"
        }

        fn plan(&mut self, _: &LoadView) -> Vec<Decision> {
            let units = vec![Unit::Group(0)];
            let action = Action::Move { domain: 0, units, from: 0, to: 1 };
            let verdict = Verdict::Act { action, gain_ns: 1, cost_ns: 1 };
            let decision = Decision { number: 1, rule: Rule::Other, seen: "once".into(), verdict };
            if std::mem::replace(&mut self.0, true) { Vec::new() } else { vec![decision] }
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
        assert!(rebalancer.begin(Occasion::Tick));
        assert!(!rebalancer.begin(Occasion::Ask(1)), "it waits for the partitions");
        assert!(!rebalancer.take(1, Some(Look { at, ..Look::default() })));
        assert!(rebalancer.take(0, Some(Look { at, ..Look::default() })));
        rebalancer.decide(at, &grants());
    }

    #[test]
    fn what_cannot_begin_is_told_and_what_has_not_begun_is_dropped() {
        let once = || Adviser::new(Box::new(Once(false)));
        let (mut rebalancer, account) = (Rebalancer::new(2, 1, once()), Arc::default());
        rebalancer.report_to(&account);
        tick(&mut rebalancer, 100);
        assert!(matches!(rebalancer.next(), Some(Action::Move { from: 0, to: 1, .. })));
        rebalancer.deny(150, Denied::Draining);
        assert_eq!(rebalancer.next(), None);
        let account = account.lock().expect("nobody panics");
        let told: Vec<_> =
            account.decisions().map(|(at, decision)| (*at, decision.to_string())).collect();
        assert_eq!(told.len(), 2);
        assert_eq!(told[1].0, 150);
        assert!(told[1].1.ends_with("partition 0 to 1: the job is about to end"), "{}", told[1].1);

        let mut rebalancer = Rebalancer::new(2, 1, once());
        tick(&mut rebalancer, 100);
        tick(&mut rebalancer, 200);
        assert_eq!(rebalancer.next(), None);
    }
}
