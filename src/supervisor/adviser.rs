//! Asks a policy, and stands between it and the job: panics and nonsense end here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::supervisor::check::checked;
use crate::supervisor::decision::{Decision, Rule, Verdict};
use crate::supervisor::load::LoadView;
use crate::supervisor::policy::{Balanced, RebalancePolicy};

/// A policy that can do no harm: whatever it answers, actions that come out make sense for the
/// view, and a panic in it is an answer.
pub struct Adviser {
    /// `None` if none could be made.
    policy: Option<Box<dyn RebalancePolicy>>,
    /// What its policy is called, as decisions that the adviser makes itself begin.
    name: String,
    has_panicked: bool,
    /// A decision that is still to be told.
    untold: Option<Decision>,
}

impl Adviser {
    /// Asks `policy` from now on.
    pub fn new(policy: Box<dyn RebalancePolicy>) -> Adviser {
        Adviser::made_by(|| policy)
    }

    /// Asks the policy that `make` makes, whose name is asked for here.
    pub fn made_by(make: impl FnOnce() -> Box<dyn RebalancePolicy>) -> Adviser {
        let made = catch_unwind(AssertUnwindSafe(|| {
            let policy = make();
            let name = format!("policy `{}`", policy.name());
            (policy, name)
        }));
        let (policy, name, untold) = match made {
            Ok((policy, name)) => (Some(policy), name, None),
            Err(panic) => {
                let name = "a policy that was to be made".to_owned();
                let told = panicked(&name, &*panic);
                (None, name, Some(told))
            }
        };
        Adviser { policy, name, has_panicked: false, untold }
    }

    /// What the policy decides on `view`, checked. Its first panic is told once, as a decision
    /// against doing anything; what it remembers may be half written then, so it is not asked
    /// again, and the load stays where it is.
    ///
    /// # Panics
    /// In debug builds, if no job could show `view`.
    pub fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
        debug_assert_eq!(view.check(), Ok(()));
        debug_assert_eq!(self.built_in().map_or(Ok(()), |policy| policy.check(view)), Ok(()));
        let Some(policy) = self.policy.as_mut().filter(|_| !self.has_panicked) else {
            return self.untold.take().into_iter().collect();
        };
        match catch_unwind(AssertUnwindSafe(|| policy.plan(view))) {
            Ok(decisions) => checked(view, decisions),
            Err(panic) => {
                self.has_panicked = true;
                vec![panicked(&self.name, &*panic)]
            }
        }
    }

    /// The policy with what it remembers, if it is the built-in one: the log keeps it beside the
    /// view, so that a line can be replayed without those before it.
    pub fn built_in(&self) -> Option<&Balanced> {
        let policy: &dyn Any = &**self.policy.as_ref()?;
        policy.downcast_ref()
    }
}

/// The decision against doing anything that a panic of `name` is.
fn panicked(name: &str, panic: &(dyn Any + Send)) -> Decision {
    let why = format!("it panicked: {}; it is not asked again", message(panic));
    let verdict = Verdict::No { why };
    Decision { number: 0, rule: Rule::Other, seen: name.to_owned(), verdict }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::decision::Action;
    use crate::supervisor::load::Unit;
    use crate::supervisor::sample::{percent, view};

    /// Panics at its second view; before, it wants to move a group to where it is.
    struct Careless {
        views: u32,
    }

    impl RebalancePolicy for Careless {
        fn name(&self) -> &str {
            "careless"
        }

        fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
            self.views += 1;
            assert!(self.views < 2, "no plan for view {}", self.views);
            let units = vec![Unit::Group(0)];
            let action = Action::Move { domain: 0, units, from: 0, to: 0 };
            let verdict = Verdict::Act { action, gain_ns: 1, cost_ns: 1 };
            let seen = format!("{} partitions", view.partitions.len());
            vec![Decision { number: 1, rule: Rule::Other, seen, verdict }]
        }
    }

    #[test]
    fn nonsense_and_a_panic_are_refused_with_a_reason_and_nothing_else_happens() {
        let mut adviser = Adviser::new(Box::new(Careless { views: 0 }));
        let view = view(2, percent(100));
        let told: Vec<_> = (0..3).flat_map(|_| adviser.plan(&view)).collect();
        assert!(told.iter().all(|decision| decision.action().is_none()));
        let told: Vec<_> = told.iter().map(Decision::to_string).collect();
        assert_eq!(
            told,
            [
                "1 other: 2 partitions: refused to move 1 groups and 0 keys of domain 0 from \
                 partition 0 to 0: partition 0 would give to itself",
                "0 other: policy `careless`: no: it panicked: no plan for view 2; it is not asked \
                 again",
            ]
        );
    }

    #[test]
    fn policy_that_cannot_be_made_is_told_of_once() {
        let mut adviser = Adviser::made_by(|| panic!("no file"));
        let view = view(2, percent(100));
        let told: Vec<_> = (0..3).flat_map(|_| adviser.plan(&view)).collect();
        let told: Vec<_> = told.iter().map(Decision::to_string).collect();
        let why = "it panicked: no file; it is not asked again";
        assert_eq!(told, [format!("0 other: a policy that was to be made: no: {why}")]);
        assert!(adviser.built_in().is_none());
    }
}
