//! Planted faults: what the protocol of moves would do without one of its rules.
//!
//! A test plants one on its own thread and expects the simulation to find it, or plants it in one
//! part. Outside the crate's own tests there are none, and asking costs nothing.

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A feeder's reroute overtakes the batch that it has open for the donor.
    MarkerBeforeOpenBatch,
    /// A feeder that skips an epoch tells only the donor of the last move.
    SkippedDelta,
    /// A feeder's reroute overtakes what it has folded for the donor.
    MarkerBeforePartials,
    /// A feeder follows another table with what it folded by the one before.
    FollowsWithPartials,
    /// Event time overtakes what is folded.
    TimeBeforePartials,
    /// Marks overtake what is folded.
    MarkBeforePartials,
    /// A sweep leaves partials where they are.
    PartialsNotSwept,
    /// The taker applies what comes by the new route before it knows that nothing comes by the old.
    HeldBeforeSeen,
    /// The taker heeds that only from the arrival of the state on.
    TakerLearnsLate,
    /// The sweep says nothing of lanes that have ended.
    EndedFeederNotSeen,
    /// The moved units see the time of the taker's partition.
    WatermarkNotFrozen,
    /// The donor sends no hold.
    NoHold,
    /// The taker releases before the units have caught up.
    ReleaseBeforeOutputs,
    /// What the taker sends does not wait for what the donor has sent.
    NoResumeWait,
    /// A sweep does not wait for that either.
    SweepPastResume,
    /// A sweep does not look at the batch in hand.
    BatchInHandNotSwept,
    /// A sweep takes in all that comes.
    SweepUnbounded,
    /// A sweep takes keys that have owners of their own with their groups.
    SweepIgnoresOverrides,
    /// So does the giving of state.
    OverrideTakenWithGroup,
    /// The donor gives although a signal is on its way through the chain.
    GiveBeforeQuiet,
    /// The donor gives before its hold is on every lane.
    GiveBeforeHold,
    /// The donor waits for room at the taker before it goes on.
    GiveWaitsForRoom,
    /// The donor takes what lies behind a reroute before it has given.
    LanePoppedPastMarker,
    /// Timers stay with the donor.
    TimersLeftBehind,
    /// The taker has the units among its own at once.
    MergedAtOnce,
    /// The taker is done before the last lane is seen.
    DoneBeforeLastSeen,
    /// A task ends although units are to be taken from it.
    EndsUnderMove,
    /// Sinks have not written before units leave.
    SinkNotFlushed,
    /// Nobody is woken by a new table.
    PublishWithoutWake,
    /// A move that its taker has accepted is dropped without a word.
    RefusalAfterConsent,
    /// The donor takes records in between its hold and the giving of state.
    TakesInWhileHolding,
    /// The donor gives before its hold is on every lane that leaves its stage.
    GiveBeforeHoldHasLeft,
    /// The taker is done before its release is.
    DoneBeforeReleaseHasLeft,
    /// Marks overtake batches that are open in front of a local edge.
    OpenBatchNotUnderWay,
    /// A task in a stage releases with the first of its branches that says so.
    ReleaseWithFirst,
    /// It resumes with the last.
    ResumeWithLast,
    /// It holds with the first.
    HoldWithFirst,
    /// A hold that came over one edge counts for all.
    HoldOfAnyEdge,
    /// A task that has begun to end still gives.
    HoldAfterEnd,
    /// Two tasks of one path have moves at once.
    TwoDomainsAtOnce,
    /// A key gets an owner of its own while its group moves.
    OverrideWhileGroupMoves,
    /// A key is combined, or no longer, while its group moves.
    CombinedWhileGroupMoves,
    /// A barrier starts while a move is open.
    BarrierDuringMove,
    /// Feeders follow another table with the ranges of the one before.
    FeederKeepsRanges,
    /// The owner takes partials under the groups that their feeders knew.
    OldLabelsKept,
    /// A sweep does.
    SweepByOldLabels,
    /// What is kept of a range that is cut or merged stays under its group.
    StateNotRegrouped,
    /// Timers do.
    TimersNotRegrouped,
    /// No fault: a task may see a new table in the middle of a step, as it may on a thread. In the
    /// simulation nobody else does anything during a step.
    EpochSeenLate,
    /// Then the taker does not look for new ranges before it takes anything of moved units in.
    TakerFollowsLate,
    /// Ranges change in the middle of a signal.
    FollowsInSignal,
    /// A range is cut, or merged, while its group moves.
    CutWhileMoving,
    /// Its group moves while a range is being cut.
    MoveWhileCut,
    /// Ranges go to any partition.
    MovesOutOfOrder,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
thread_local! {
    static TURN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// As [`is_planted`], but every other time only.
#[cfg(test)]
pub(crate) fn is_planted_in_turns(fault: Fault) -> bool {
    is_planted(fault) && TURN.replace(!TURN.get())
}

/// As [`is_planted`].
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn is_planted_in_turns(_: Fault) -> bool {
    false
}

/// Whether this fault is planted on this thread.
#[cfg(test)]
pub(crate) fn is_planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Never: faults are for the crate's own tests.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn is_planted(_: Fault) -> bool {
    false
}

/// Plants `fault` on this thread, in place of the one that was planted.
#[cfg(test)]
pub(crate) fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}
