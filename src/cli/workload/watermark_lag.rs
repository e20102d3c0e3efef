//! How far event time, as the sink knows it, is behind the schedule of the records that move it.
//!
//! The watermark that says that a millisecond is over follows from the first record behind that
//! millisecond, on the partition that gives it last. The lag counts from when that record should
//! have been sent, for every millisecond, so a stall shows in all that it held up (no coordinated
//! omission). Times never go back here, so there is no disorder to wait for besides.

use std::sync::{Arc, Mutex, PoisonError};

use crate::connector::event_times::{BASE_TIME, EventTimes};
use crate::connector::{LEAD_NS, due_everywhere};
use crate::dataflow::{Collector, Emit, Flow, Operator, TaskContext};
use crate::metrics::{Histogram, Percentiles};
use crate::time::{Clock, MonotonicClock, Nanos, Timestamp};

/// Sees the watermarks in front of a sink, and notes their lag where records come on a schedule.
#[derive(Clone)]
pub(super) struct WatermarkLag {
    times: EventTimes,
    /// Records per second, if there is a schedule.
    rate: Option<u64>,
    warmup_ns: Nanos,
    /// Where it runs.
    context: Option<TaskContext>,
    /// The last millisecond that is known to be over.
    over: Timestamp,
    own: Histogram,
    all: Arc<Mutex<Histogram>>,
}

impl WatermarkLag {
    pub(super) fn new(times: EventTimes, rate: Option<u64>, warmup_ns: Nanos) -> Self {
        WatermarkLag {
            times,
            rate,
            warmup_ns,
            context: None,
            over: BASE_TIME.plus_millis(-1),
            own: Histogram::new(),
            all: Arc::default(),
        }
    }

    /// What was seen in all runs that have ended; `None` without a schedule.
    pub(super) fn seen(&self) -> Option<Percentiles> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        self.rate.map(|_| all.percentiles())
    }
}

impl<T: Send + 'static> Operator<T> for WatermarkLag {
    type Out = T;
    const NAME: &'static str = "watermark lag";

    fn open(&mut self, context: &TaskContext) {
        self.context = Some(context.clone());
    }

    #[inline(always)]
    fn on_record<E: Emit<T>>(&mut self, record: T, out: &mut Collector<'_, E>) {
        out.emit(record);
    }

    fn on_watermark<E: Emit<T>>(&mut self, time: Timestamp, _: &mut Collector<'_, E>) -> Flow {
        let (Some(rate), Some(context)) = (self.rate, &self.context) else { return Flow::Done };
        // The last one says that the input is over.
        if time == Timestamp::MAX {
            return Flow::Done;
        }
        let now = MonotonicClock.now();
        let from = context.now.saturating_add(LEAD_NS).saturating_add(self.warmup_ns);
        while self.over < time {
            self.over = self.over.plus_millis(1);
            let behind = self.times.first_from(self.over.plus_millis(1));
            let due = due_everywhere(rate, behind, context);
            if due >= from {
                self.own.record_n(now.saturating_sub(due), 1);
            }
        }
        Flow::Done
    }

    fn on_end<E: Emit<T>>(&mut self, _: &mut Collector<'_, E>) -> Flow {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).merge(&self.own);
        Flow::Done
    }
}
