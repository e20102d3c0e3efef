//! The handle that asks a running job, and the time-outs of its questions.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use crate::connector::channel::input::{Input, TrySendError};
use crate::connector::channel::wait::block_on;
use crate::connector::request::Asked;
use crate::connector::request::slot::{Reply, Slot, slot};
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, MonotonicClock, Nanos};

/// How long an asker waits for a reply, unless it is told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What an [`Alarm`] calls.
pub type Ring = Box<dyn FnOnce() + Send>;

/// Calls back after a while, from a thread that no partition runs on: what a job lends to those who
/// ask it, so that a time-out needs no runtime of theirs.
#[derive(Clone)]
pub struct Alarm(Arc<dyn Fn(Duration, Ring) + Send + Sync>);

impl Alarm {
    /// An alarm that `after` sets: it calls back when the time has passed, or never if the job ends
    /// before.
    pub fn new(after: impl Fn(Duration, Ring) + Send + Sync + 'static) -> Alarm {
        Alarm(Arc::new(after))
    }
}

/// A handle that asks a job questions of type `Q` and gets replies of type `A`.
///
/// Questions of one handle enter the job in their order, on one partition; each clone feeds the
/// next partition in turn. Dropping the last handle ends the source.
pub struct Asker<Q, A> {
    input: Input<Asked<Q, A>>,
    timeout: Duration,
    pending: Arc<Pending<A>>,
}

impl<Q: Send + 'static, A: Send + 'static> Asker<Q, A> {
    /// A handle that asks by `input`, waits for 30 seconds and is woken by `alarm` then.
    pub fn new(input: Input<Asked<Q, A>>, alarm: Alarm) -> Asker<Q, A> {
        let questions = Mutex::new(Questions { waiting: VecDeque::new(), is_alarm_set: false });
        Asker { input, timeout: TIMEOUT, pending: Arc::new(Pending { alarm, questions }) }
    }

    /// Waits for a reply this long instead, the wait for room in the job counted.
    pub fn timeout(mut self, timeout: Duration) -> Asker<Q, A> {
        self.timeout = timeout;
        self
    }

    /// Asks, and waits for the reply. Any number of questions may be under way. Dropping the future
    /// gives the reply up; the question is still answered if it is in the job already.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the job has ended or takes no questions any more;
    /// [`ErrorKind::TryAgain`] if there was no reply in time; [`ErrorKind::NoReply`] if the job
    /// dropped the question's record.
    pub async fn ask(&self, question: Q) -> Result<A> {
        let (token, slot) = slot();
        self.pending.expire_after(self.timeout, &slot);
        let mut sending = pin!(self.input.send(Asked { question, token }));
        let mut is_sent = false;
        let reply = poll_fn(|context| {
            if !is_sent && let Poll::Ready(sent) = sending.as_mut().poll(context) {
                // A question that comes back says by its drop that there is no reply.
                drop(sent.map_err(TrySendError::into_record));
                is_sent = true;
            }
            slot.poll(context)
        });
        match reply.await {
            Reply::Came(reply) => Ok(reply),
            Reply::TimedOut => {
                Err(Error::new(ErrorKind::TryAgain, format!("no reply within {:?}", self.timeout)))
            }
            Reply::Dropped if self.input.is_closed() => {
                Err(Error::new(ErrorKind::Closed, "the job has ended or takes no questions"))
            }
            Reply::Dropped => Err(Error::new(
                ErrorKind::NoReply,
                "the question's record was dropped without a reply",
            )),
        }
    }

    /// Like [`ask`](Self::ask), for threads that may block. Never call it on a partition.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_blocking(&self, question: Q) -> Result<A> {
        block_on(self.ask(question))
    }
}

impl<Q: Send + 'static, A: Send + 'static> Clone for Asker<Q, A> {
    fn clone(&self) -> Self {
        let alarm = self.pending.alarm.clone();
        Asker::new(self.input.clone(), alarm).timeout(self.timeout)
    }
}

impl<Q, A> fmt::Debug for Asker<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("input", &self.input).finish_non_exhaustive()
    }
}

/// The questions of one handle that wait for a reply. One alarm is set at a time: for the first.
struct Pending<A> {
    alarm: Alarm,
    questions: Mutex<Questions<A>>,
}

struct Questions<A> {
    /// When each is given up, ascending: all have the same time-out.
    waiting: VecDeque<(Nanos, Weak<Slot<A>>)>,
    is_alarm_set: bool,
}

impl<A: Send + 'static> Pending<A> {
    /// Gives the question whose reply comes to `slot` up when `timeout` has passed.
    fn expire_after(self: &Arc<Self>, timeout: Duration, slot: &Arc<Slot<A>>) {
        let timeout_ns = timeout.as_nanos().try_into().unwrap_or(Nanos::MAX);
        let expires_at = MonotonicClock.now().saturating_add(timeout_ns);
        let mut questions = self.lock();
        questions.forget_answered();
        questions.waiting.push_back((expires_at, Arc::downgrade(slot)));
        let is_alarm_set = std::mem::replace(&mut questions.is_alarm_set, true);
        drop(questions);
        if !is_alarm_set {
            self.set_alarm(timeout);
        }
    }

    /// Gives up what has waited for long enough, and sets the alarm for the next.
    fn expire(self: &Arc<Self>) {
        let now = MonotonicClock.now();
        let mut questions = self.lock();
        let mut expired = Vec::new();
        questions.forget_answered();
        while questions.waiting.front().is_some_and(|first| first.0 <= now) {
            expired.extend(questions.waiting.pop_front().and_then(|first| first.1.upgrade()));
        }
        questions.forget_answered();
        let next = questions.waiting.front().map(|first| first.0);
        questions.is_alarm_set = next.is_some();
        drop(questions);
        expired.into_iter().for_each(|slot| slot.fill(Reply::TimedOut));
        if let Some(next) = next {
            self.set_alarm(Duration::from_nanos(next.saturating_sub(now)));
        }
    }

    fn set_alarm(self: &Arc<Self>, wait: Duration) {
        let pending = Arc::downgrade(self);
        let ring = move || {
            if let Some(pending) = pending.upgrade() {
                pending.expire();
            }
        };
        (self.alarm.0)(wait, Box::new(ring));
    }

    fn lock(&self) -> MutexGuard<'_, Questions<A>> {
        // Nothing that can panic happens while it is held.
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Questions<A> {
    /// Lets go of the oldest questions that wait no more.
    fn forget_answered(&mut self) {
        let is_over = |slot: &Weak<Slot<A>>| slot.upgrade().is_none_or(|slot| slot.is_filled());
        while self.waiting.front().is_some_and(|(_, slot)| is_over(slot)) {
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::request::{Answer, requests};
    use crate::connector::{polled, test_context};
    use crate::dataflow::{Source, SourceConnector};
    use std::task::{Context, Waker};

    type Asking = Asker<u32, String>;

    /// An asker, its source, and the alarms that were set.
    fn asker(capacity: usize) -> (Asking, impl Source<Item = Asked<u32, String>>, Rings) {
        let mut connector = requests("questions", capacity);
        let source = connector.open(&test_context(0, 1)).unwrap();
        let rings = Rings::default();
        let set = Arc::clone(&rings);
        let alarm = Alarm::new(move |wait, ring| set.lock().unwrap().push((wait, ring)));
        (Asker::new(connector.inputs().handle().unwrap(), alarm), source, rings)
    }

    type Rings = Arc<Mutex<Vec<(Duration, Ring)>>>;

    fn asked(source: &mut impl Source<Item = Asked<u32, String>>) -> Vec<Asked<u32, String>> {
        polled(source, 10, 0).1
    }

    /// Polls until it is pending.
    fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
        std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn each_gets_the_reply_to_its_own_question() {
        let (asker, mut source, _) = asker(4);
        let mut futures: Vec<_> = (0..3).map(|n| Box::pin(asker.ask(n))).collect();
        futures.iter_mut().for_each(|future| assert!(poll(future).is_pending()));
        let mut records = asked(&mut source);
        records.reverse();
        for record in records {
            let text = record.question.to_string();
            record.map(|n| n + 1).reply(text).deliver();
        }
        for (n, future) in futures.iter_mut().enumerate() {
            let Poll::Ready(Ok(reply)) = poll(future) else { panic!("there is a reply") };
            assert_eq!(reply, n.to_string());
        }
    }

    fn kind<T>(polled: Poll<Result<T>>) -> Option<ErrorKind> {
        match polled {
            Poll::Ready(Err(error)) => Some(error.kind()),
            Poll::Ready(Ok(_)) | Poll::Pending => None,
        }
    }

    #[test]
    fn dropped_record_and_ended_job_are_told_apart() {
        let (asker, mut source, _) = asker(1);
        let mut dropped = Box::pin(asker.ask(1));
        assert!(poll(&mut dropped).is_pending());
        drop(asked(&mut source));
        assert_eq!(kind(poll(&mut dropped)), Some(ErrorKind::NoReply));
        let (mut queued, mut waits_for_room) = (Box::pin(asker.ask(2)), Box::pin(asker.ask(3)));
        assert!(poll(&mut queued).is_pending() && poll(&mut waits_for_room).is_pending());
        drop(source);
        for future in [&mut queued, &mut waits_for_room, &mut Box::pin(asker.ask(4))] {
            assert_eq!(kind(poll(future)), Some(ErrorKind::Closed));
        }
    }

    #[test]
    fn time_runs_out_in_the_job_and_before_it_and_one_alarm_serves_all() {
        let (asker, mut source, rings) = asker(1);
        let asker = asker.timeout(Duration::ZERO);
        let mut futures: Vec<_> = (0..3).map(|n| Box::pin(asker.ask(n))).collect();
        futures.iter_mut().for_each(|future| assert!(poll(future).is_pending()));
        let mut alarms = std::mem::take(&mut *rings.lock().unwrap());
        assert_eq!(alarms.len(), 1, "one is set at a time");
        let (wait, ring) = alarms.pop().unwrap();
        assert_eq!(wait, Duration::ZERO);
        ring();
        for future in &mut futures {
            assert_eq!(kind(poll(future)), Some(ErrorKind::TryAgain));
        }
        // A reply that comes too late goes nowhere, and the next question sets the alarm anew.
        asked(&mut source)
            .into_iter()
            .map(|one| one.reply(String::new()))
            .for_each(Answer::deliver);
        let mut next = Box::pin(asker.ask(9));
        assert!(poll(&mut next).is_pending());
        assert_eq!(rings.lock().unwrap().len(), 1);
    }

    #[test]
    fn answered_questions_are_forgotten() {
        let (asker, mut source, _) = asker(4);
        for n in 0..1_000 {
            let mut future = Box::pin(asker.ask(n));
            assert!(poll(&mut future).is_pending());
            for record in asked(&mut source) {
                record.reply(String::new()).deliver();
            }
            assert!(poll(&mut future).is_ready());
        }
        assert!(asker.pending.lock().waiting.len() <= 1);
    }
}
