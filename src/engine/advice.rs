//! Who advises the supervisor of a job, and where the advice is written down.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Rebalance;
use crate::dataflow::KeyTap;
use crate::engine::Engine;
use crate::runtime::Instance;
#[cfg(feature = "json")]
use crate::supervisor::decision_log::Entry;
use crate::supervisor::{
    Adviser, Balanced, DecisionLog, Movable, RebalancePolicy, Rebalancer, TraceWriter,
};

/// The first keyed task: a trace has the keys of one.
const TRACED_DOMAIN: usize = 0;

type Make = dyn Fn() -> Box<dyn RebalancePolicy> + Send + Sync;

/// What is asked about the load of each job of an engine, and who is told.
#[derive(Clone, Default)]
pub(super) struct Advice {
    policy: Option<Arc<Make>>,
    #[cfg(feature = "json")]
    log: Option<Arc<Mutex<Box<dyn Write + Send>>>>,
    tap: Option<KeyTap>,
}

impl Engine {
    /// Has a policy of your own decide what moves, in each job one that `make` makes. It is asked
    /// unless [`rebalance`](crate::config::ConfigBuilder::rebalance) is off; what it answers is
    /// checked, and a panic in it, or in `make`, costs the job nothing but its advice. Learned
    /// ranges of keys,
    /// which all begin on one partition, are then for it to cut and to move, too.
    #[must_use]
    pub fn rebalance_by<P, F>(mut self, make: F) -> Engine
    where
        P: RebalancePolicy,
        F: Fn() -> P + Send + Sync + 'static,
    {
        self.advice.policy = Some(Arc::new(move || Box::new(make())));
        self
    }

    /// Writes every decision about moves to `output`, a JSON line for each view on which something
    /// was decided; `millstream replay-decisions` reads it. Jobs of one engine share it. If a line
    /// cannot be written, nothing more is.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn log_decisions(mut self, output: impl Write + Send + 'static) -> Engine {
        self.advice.log = Some(Arc::new(Mutex::new(Box::new(output))));
        self
    }

    /// Writes when each record of the first keyed task came, and the hash of its key, to `output`,
    /// for `millstream whatif --trace`. Slows a job down: each batch is a write. If one fails,
    /// nothing more is written. Of keys that are combined only partials come there, one for many
    /// records, so a trace is true only as long as none is.
    #[must_use]
    pub fn record_trace(mut self, output: impl Write + Send + 'static) -> Engine {
        let trace = Mutex::new((TraceWriter::new(), Some(output)));
        self.advice.tap = Some(Arc::new(move |taken, hashes| {
            let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
            let (lines, output) = &mut *trace;
            let Some(writer) = output else { return };
            hashes.iter().for_each(|hash| lines.record(taken, *hash));
            let written = writer.write_all(lines.text());
            lines.clear();
            if written.is_err() {
                *output = None;
            }
        }));
        self
    }

    /// Who looks after the load of a job with these keyed tasks; nobody if nothing is to move.
    /// Where ranges of keys are learned, their first bounds are, whatever the level.
    pub(super) fn rebalancer(&self, domains: &[Movable]) -> Option<Rebalancer> {
        let (partitions, level) = (self.plan.partitions.len(), self.config.rebalance());
        if partitions < 2 || domains.is_empty() {
            return None;
        }
        if level == Rebalance::Off && domains.iter().all(|movable| !movable.domain.is_ranged()) {
            return None;
        }
        let adviser = Adviser::made_by(|| match &self.advice.policy {
            Some(make) if level != Rebalance::Off => make(),
            Some(_) | None => Box::new(Balanced::new(level)),
        });
        let rebalancer = Rebalancer::new(partitions, domains.len(), adviser);
        Some(rebalancer.logged(self.advice.log()))
    }
}

impl Advice {
    /// Has the keyed tasks tell who listens.
    pub(super) fn listen(&self, partitions: &mut [Vec<Instance>]) {
        let Some(tap) = &self.tap else { return };
        let instances = partitions.iter_mut().flatten();
        instances.for_each(|instance| instance.running.listen(TRACED_DOMAIN, tap));
    }

    #[cfg(feature = "json")]
    fn log(&self) -> Option<DecisionLog> {
        let output = Arc::clone(self.log.as_ref()?);
        let mut has_failed = false;
        Some(Box::new(move |logged| {
            if has_failed {
                return;
            }
            let entry = Entry {
                view: logged.view.clone(),
                policy: logged.policy.cloned(),
                decisions: logged.decisions.to_vec(),
                not_begun: logged.not_begun.to_vec(),
            };
            // A writer that has panicked has left a cut line at worst.
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            let written = writeln!(output, "{}", entry.line()).and_then(|()| output.flush());
            has_failed = written.is_err();
            #[cfg(feature = "tracing")]
            if let Err(error) = written {
                tracing::warn!(%error, "decisions are not logged any more");
            }
        }))
    }

    #[cfg(not(feature = "json"))]
    fn log(&self) -> Option<DecisionLog> {
        None
    }
}

impl fmt::Debug for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Advice").field("has_policy", &self.policy.is_some()).finish_non_exhaustive()
    }
}
