//! From looks at partitions to actions: one observer, one adviser, and what is still to be done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::runtime::Look;
use crate::supervisor::account::Account;
use crate::supervisor::adviser::Adviser;
use crate::supervisor::decision::{Action, Decision};
use crate::supervisor::grants::Grants;
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
    /// What is to be done, in order, and has not begun.
    pending: VecDeque<Action>,
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
            pending: VecDeque::new(),
        }
    }

    /// Tells `log` of every view on which something is decided.
    #[must_use]
    pub fn logged(mut self, log: Option<DecisionLog>) -> Rebalancer {
        self.log = log;
        self
    }

    /// What it last saw and decided, for whoever asks.
    pub fn account(&self) -> Arc<Mutex<Account>> {
        Arc::clone(&self.account)
    }

    /// Whether a look at the others may find work for `thief`: one of them was short of time when
    /// they were looked at last. Where nobody is, partitions without work are left to sleep.
    pub fn may_help(&self, thief: usize) -> bool {
        self.observer.has_busy(thief)
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
        let decisions = self.adviser.plan(&view);
        if let Some(log) = &mut self.log
            && !decisions.is_empty()
        {
            log(&view, before.as_ref(), &decisions);
        }
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.note(&view, &decisions);
        self.pending = decisions.iter().filter_map(Decision::action).cloned().collect();
    }

    /// What is to be done next, if anything.
    pub fn next(&self) -> Option<&Action> {
        self.pending.front()
    }

    /// The next action has begun, or cannot be.
    pub fn advance(&mut self) {
        self.pending.pop_front();
    }
}
