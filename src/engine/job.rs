//! The handle of a running job.

use std::any::type_name;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::connector::{Alarm, Asked, Asker, Input, Inputs};
use crate::dataflow::InputHandle;
use crate::engine::rescale::{Rescaled, Running, rescale};
use crate::engine::state::JobState;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{HotKey, Moves, Registry, Report, RunFacts};
#[cfg(test)]
use crate::routing::{Domain, MoveId};
use crate::runtime::lease::Leases;
use crate::runtime::{AsyncThread, Control, SystemThread};
use crate::supervisor::{Account, Address, KeyRoute, LoadView};
#[cfg(test)]
use crate::supervisor::{Denied, Proposal};
use crate::time::{Clock, MonotonicClock, Nanos};

/// What is known of a job beside what it counts.
pub(crate) struct Facts {
    pub(crate) started: Nanos,
    pub(crate) cores: Vec<Option<usize>>,
    pub(crate) warnings: Vec<String>,
}

/// Where a job meets the program that feeds it.
pub(crate) struct Ends {
    pub(crate) inputs: Vec<InputHandle>,
    pub(crate) dead_letters: Arc<AtomicU64>,
    pub(crate) mover: Mover,
}

/// The threads of a job.
pub(crate) struct Threads {
    pub(crate) system: SystemThread,
    /// Where its futures run, if it has any.
    pub(crate) futures: Option<AsyncThread>,
    /// The cores that its partitions are pinned to: dropped after the threads.
    pub(crate) leases: Mutex<Leases>,
}

/// Who moves a job's keys, and what moves have come to.
pub(crate) struct Mover {
    pub(crate) address: Address,
    #[cfg(test)]
    pub(crate) domains: Vec<Arc<Domain>>,
    pub(crate) ledger: Arc<Mutex<Moves>>,
    pub(crate) account: Arc<Mutex<Account>>,
}

/// What can be seen of a job, from any thread, while it runs and after.
#[derive(Clone)]
pub(crate) struct JobStatus {
    state: Arc<JobState>,
    registry: Arc<Registry>,
    dead_letters: Arc<AtomicU64>,
    ledger: Arc<Mutex<Moves>>,
    account: Arc<Mutex<Account>>,
    started: Nanos,
    /// A rescale changes them.
    facts: Arc<Mutex<Facts>>,
}

/// A running job. Dropping it stops the job and waits for its threads.
///
/// `join`, `drain` and `stop` block the calling thread until the job's threads are gone; each has a
/// twin for async code.
#[must_use = "dropping a job stops it"]
pub struct Job {
    state: Arc<JobState>,
    threads: Threads,
    ends: Ends,
    status: JobStatus,
}

impl Job {
    pub(crate) fn new(
        state: Arc<JobState>,
        threads: Threads,
        registry: Arc<Registry>,
        ends: Ends,
        facts: Facts,
    ) -> Self {
        let status = JobStatus {
            state: Arc::clone(&state),
            registry,
            dead_letters: Arc::clone(&ends.dead_letters),
            ledger: Arc::clone(&ends.mover.ledger),
            account: Arc::clone(&ends.mover.account),
            started: facts.started,
            facts: Arc::new(Mutex::new(facts)),
        };
        Job { state, threads, ends, status }
    }

    /// What can be seen of it, for another thread.
    #[cfg(feature = "cli")]
    pub(crate) fn status(&self) -> JobStatus {
        self.status.clone()
    }

    /// Who moves its keys.
    #[cfg(feature = "cli")]
    pub(crate) fn mover(&self) -> Address {
        self.ends.mover.address.clone()
    }

    /// Asks for a move; says whether it was begun. `None` once the job has ended.
    #[cfg(test)]
    pub(crate) fn propose(
        &self,
        proposal: Proposal,
    ) -> Option<std::result::Result<MoveId, Denied>> {
        self.ends.mover.address.propose(proposal)
    }

    /// Has a key of the last keyed task combined at its feeders, or no longer, whatever the
    /// supervisor says: not while keys of that task move.
    #[cfg(test)]
    pub(crate) fn set_combined(&self, hash: u64, is_combined: bool) {
        self.ends.mover.domains.last().expect("it has keys").set_combined(hash, is_combined);
        self.state.wake();
    }

    /// The name of its pipeline.
    pub fn name(&self) -> &str {
        self.state.name()
    }

    /// Waits until the job has ended by itself and returns what it did. Blocks.
    ///
    /// An input that no handle was asked for ends now: nobody can feed it any more.
    ///
    /// # Errors
    /// [`ErrorKind::JobFailed`] if an operator panicked, naming it and its key; what a source or
    /// sink reported. The other partitions were stopped then.
    pub fn join(mut self) -> Result<Report> {
        self.ends.inputs.clear();
        self.state.wait();
        self.close()
    }

    /// [`join`](Self::join) for async code. Dropping the future stops the job.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub async fn join_async(mut self) -> Result<Report> {
        self.ends.inputs.clear();
        std::future::poll_fn(|task| self.state.poll_ended(task.waker())).await;
        self.close()
    }

    /// Ends the sources, waits until everything they let in has reached its sink, and returns what
    /// the job did. Blocks.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// let pipeline = Pipeline::new("drained");
    /// let count = pipeline.source(iterator(0u64..)).key_by(|_| ()).count().collect();
    /// let report = Engine::new(Config::default())?.start(pipeline)?.drain()?;
    /// let counted: u64 = count.take().iter().map(|(_, count)| *count).sum();
    /// assert_eq!(counted, report.records);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn drain(self) -> Result<Report> {
        self.ends.mover.address.drain();
        self.state.tell(Control::Drain);
        self.join()
    }

    /// [`drain`](Self::drain) for async code.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub async fn drain_async(self) -> Result<Report> {
        self.ends.mover.address.drain();
        self.state.tell(Control::Drain);
        self.join_async().await
    }

    /// Stops at once: records on their way are dropped, sinks are not finished. Blocks until the
    /// threads are gone.
    ///
    /// # Errors
    /// A failure from before the stop.
    pub fn stop(self) -> Result<Report> {
        self.state.tell(Control::Stop);
        self.join()
    }

    /// [`stop`](Self::stop) for async code.
    ///
    /// # Errors
    /// As for [`stop`](Self::stop).
    pub async fn stop_async(self) -> Result<Report> {
        self.state.tell(Control::Stop);
        self.join_async().await
    }

    /// Goes on over so many partitions, 1..=1024, and says how long that took; blocks meanwhile.
    /// With as many as there are nothing happens.
    ///
    /// Sources are not read until everything that they let in has reached its sink, for some
    /// milliseconds mostly, however much state there is. Nothing is lost or doubled, records of a
    /// key keep their order, and event time does not go back. Key groups are dealt anew: where keys
    /// have moved before, and which are combined, is forgotten.
    ///
    /// Sources, with what follows them up to the first exchange, keep as many instances as the job
    /// had partitions at the start; those are dealt out evenly and go on as they are, with what
    /// their closures hold, and with the handles that feed them. Of all other tasks, a partition
    /// that is removed drops what closures and operators hold there, but for state by key; one that
    /// is added begins with clones of what the pipeline was built from. A sink that is removed is
    /// finished, one that is added is opened. What the supervisor remembers begins anew, and so do
    /// the numbers of its decisions.
    ///
    /// Refused, by name, are jobs with `sort_by_time`, `rate_limit`, `with_broadcast`, or a
    /// [`file_sink`](crate::connector::file_sink()): what these keep belongs to no key.
    ///
    /// It may take up to ten seconds where a sink is slow, so async code has it run where blocking
    /// is allowed, with the job in an `Arc`: tokio's `spawn_blocking(move || job.rescale(4))`.
    ///
    /// ```
    /// use millstream::connector::channel;
    /// use millstream::prelude::*;
    ///
    /// let pipeline = Pipeline::new("growing");
    /// let words = pipeline.source(channel("words", 16)).key_by(|word: &&str| *word);
    /// let counts = words.emit_at(EmitAt::EachRecord).count().collect();
    /// let engine = Engine::new(Config::builder().partitions(1).build()?)?;
    /// let job = engine.start(pipeline)?;
    /// let words = job.input::<&str>("words")?;
    /// words.send_blocking("one")?;
    /// assert_eq!(job.rescale(2)?.to, 2);
    /// words.send_blocking("one")?;
    /// drop(words);
    /// job.join()?;
    /// assert_eq!(counts.take().last(), Some(&("one", 2)));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if `partitions` is out of range, if more memory would be needed
    /// than the limit allows, or if the job has a task whose instances cannot be more or fewer,
    /// which it names;
    /// [`ErrorKind::Usage`] if it is asked to run on more cores than were named;
    /// [`ErrorKind::TryAgain`] if it is being rescaled already, or if what is under way does not
    /// come through within ten seconds; [`ErrorKind::Closed`] if the job is ending or has failed.
    /// It goes on as before then. What connectors report that cannot be opened fails the job.
    pub fn rescale(&self, partitions: usize) -> Result<Rescaled> {
        let running = Running {
            state: &self.state,
            system: &self.threads.system,
            registry: &self.status.registry,
            supervisor: &self.ends.mover.address,
            facts: &self.status.facts,
            leases: &self.threads.leases,
        };
        rescale(&running, partitions)
    }

    /// When it began, in monotonic nanoseconds: where the report's seconds count from.
    #[cfg(feature = "cli")]
    pub(crate) fn started(&self) -> Nanos {
        self.status.started
    }

    /// Whether all partitions have ended.
    pub fn has_ended(&self) -> bool {
        self.state.has_ended()
    }

    /// What the job has done so far; at most 100 ms old.
    pub fn report(&self) -> Report {
        self.status.report()
    }

    /// Records that the sources have let in so far; at most 100 ms old.
    pub fn records(&self) -> u64 {
        self.status.registry.records()
    }

    /// A handle that sends records of type `T` into the [`channel`](crate::connector::channel())
    /// called `name`. Clone it for more: each clone feeds the next partition in turn, of those that
    /// the job had at the start, and order is kept per handle.
    ///
    /// The source ends when its handles are dropped, or is closed by one of them, or when the job
    /// is drained. A handle outlives the job; it then gives every record back.
    ///
    /// ```
    /// use millstream::connector::channel;
    /// use millstream::prelude::*;
    ///
    /// let pipeline = Pipeline::new("orders");
    /// let doubled = pipeline.source(channel("orders", 16)).map(|order: u64| order * 2).collect();
    /// let job = Engine::new(Config::default())?.start(pipeline)?;
    /// let orders = job.input::<u64>("orders")?;
    /// orders.send_blocking(21)?;
    /// drop(orders);
    /// job.join()?;
    /// assert_eq!(doubled.take(), [42]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the job has no input of this name, or one that takes another
    /// type of record.
    pub fn input<T: Send + 'static>(&self, name: &str) -> Result<Input<T>> {
        let found = self.ends.inputs.iter().find(|(known, _)| known == name);
        let Some((_, inputs)) = found else {
            let known: Vec<&str> = self.ends.inputs.iter().map(|(name, _)| &**name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("no input `{}`; there are: {known}", name.escape_debug()),
            ));
        };
        let Some(inputs) = inputs.downcast_ref::<Inputs<T>>() else {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "input `{name}` takes no {}; ask for the type of its records",
                    type_name::<T>()
                ),
            ));
        };
        inputs.handle()
    }

    /// A handle that asks the [`requests`](crate::connector::requests) called `name` and awaits the
    /// replies. Clone it for more.
    ///
    /// The source ends when its handles are dropped, or when the job is drained.
    ///
    /// ```
    /// use millstream::connector::{replies, requests};
    /// use millstream::prelude::*;
    ///
    /// let pipeline = Pipeline::new("squares");
    /// pipeline
    ///     .source(requests::<u64, u64>("numbers", 16))
    ///     .map(|asked| {
    ///         let n = asked.question;
    ///         asked.reply(n * n)
    ///     })
    ///     .sink(replies());
    /// let job = Engine::new(Config::default())?.start(pipeline)?;
    /// let squares = job.asker::<u64, u64>("numbers")?;
    /// assert_eq!(squares.ask_blocking(12)?, 144); // Or `squares.ask(12).await?`.
    /// drop(squares);
    /// job.join()?;
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`input`](Self::input), of which it is one: for records of type
    /// [`Asked<Q, A>`](crate::connector::Asked).
    pub fn asker<Q, A>(&self, name: &str) -> Result<Asker<Q, A>>
    where
        Q: Send + 'static,
        A: Send + 'static,
    {
        let alarm = Alarm::new(self.threads.system.alarm());
        Ok(Asker::new(self.input::<Asked<Q, A>>(name)?, alarm))
    }

    fn close(&mut self) -> Result<Report> {
        self.threads.system.stop();
        drop(self.threads.futures.take());
        self.state.take_outcome()?;
        Ok(self.report())
    }
}

impl JobStatus {
    /// The name of the job's pipeline.
    #[cfg(feature = "cli")]
    pub(crate) fn name(&self) -> &str {
        self.state.name()
    }

    /// When the job began, in monotonic nanoseconds.
    #[cfg(feature = "cli")]
    pub(crate) fn started(&self) -> Nanos {
        self.started
    }

    /// What its partitions have published.
    #[cfg(feature = "cli")]
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What the job has done so far; at most 100 ms old.
    pub(crate) fn report(&self) -> Report {
        let ended = self.state.ended_at();
        let until = if ended == 0 { MonotonicClock.now() } else { ended };
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        self.registry.report(RunFacts {
            seconds: until.saturating_sub(self.started) as f64 / 1e9,
            cores: facts.cores.clone(),
            // Relaxed: a counter, read after the threads that add to it or while they run.
            dead_letter: self.dead_letters.load(Ordering::Relaxed),
            warnings: facts.warnings.clone(),
            moves: self.ledger.lock().unwrap_or_else(PoisonError::into_inner).report(),
            hot_keys: self.hot_keys(),
        })
    }

    /// What the supervisor last saw and decided.
    #[cfg(feature = "cli")]
    pub(crate) fn account(&self) -> Arc<Mutex<Account>> {
        Arc::clone(&self.account)
    }

    /// The hottest keys, each with the index of its task. By their hashes, since a name may be a
    /// secret and a report is shown to many.
    fn hot_keys(&self) -> Vec<(usize, HotKey)> {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(view) = account.view() else { return Vec::new() };
        let tasks = &self.registry.shape().tasks;
        let task = |name: &str| tasks.iter().position(|task| task.name == name);
        let domains = view.domains.iter().enumerate();
        let keys = domains.filter_map(|(domain, load)| Some((domain, task(&load.name)?)));
        keys.flat_map(|(domain, task)| hottest(view, domain).map(move |key| (task, key))).collect()
    }
}

/// The hottest keys of a domain that are not combined, each with its part of what the domain wants
/// of its owner.
fn hottest(view: &LoadView, domain: usize) -> impl Iterator<Item = HotKey> {
    let load = &view.domains[domain];
    let mut wanted = vec![0; view.partitions.len()];
    for (owner, demand) in load.owners.iter().zip(&load.demands) {
        wanted[usize::from(*owner)] += demand;
    }
    for key in load.keys.iter().filter(|key| key.route == KeyRoute::Override) {
        wanted[usize::from(key.owner)] += key.demand;
    }
    let owned = load.keys.iter().filter(|key| key.route != KeyRoute::Combined);
    owned.map(move |key| HotKey {
        name: format!("#{:016x}", key.hash),
        partition: usize::from(key.owner),
        share: key.demand as f64 / wanted[usize::from(key.owner)].max(1) as f64,
    })
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.state.has_ended() {
            self.state.tell(Control::Stop);
            self.state.wait();
        }
        #[cfg(feature = "tracing")]
        tracing::info!(job = %self.state.name(), "job ended");
    }
}
