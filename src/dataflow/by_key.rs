//! The way of a record to the partition that owns its key.

use std::sync::Arc;

use crate::dataflow::Route;
use crate::exchange::Outbox;
use crate::exchange::combine::Combine;
use crate::record::{Key, WithHash};
use crate::routing::{KeyedPartitioner, RoutingTable};
use crate::time::Nanos;

/// Computes every record's key hash, once, and sends record and hash to the key's owner; or folds
/// it into a partial that goes there later.
pub struct ByKey<K, F, Q, C> {
    key_of: F,
    partitioner: Q,
    table: Arc<RoutingTable>,
    combine: C,
    /// How long a partial may be held; `None`: to the end of the input.
    hold: Option<Nanos>,
    /// When what is held has to go.
    flush_at: Option<Nanos>,
    key: std::marker::PhantomData<fn() -> K>,
}

impl<K, F, Q, C> ByKey<K, F, Q, C> {
    /// Routes by `partitioner` over the key that `key_of` finds, folding in `combine` first and
    /// holding what was folded for half of `emit_every`, so that a result is never older than one
    /// and a half intervals.
    pub fn new(
        key_of: F,
        partitioner: Q,
        table: Arc<RoutingTable>,
        combine: C,
        emit_every: Option<Nanos>,
    ) -> Self {
        let (hold, key) = (emit_every.map(|interval| interval / 2), std::marker::PhantomData);
        ByKey { key_of, partitioner, table, combine, hold, flush_at: None, key }
    }
}

impl<T, K, F, Q, C> Route<T> for ByKey<K, F, Q, C>
where
    T: Send,
    K: Key,
    F: Fn(&T) -> K + Send,
    Q: KeyedPartitioner<K>,
    C: Combine<T, K>,
{
    type Item = WithHash<T>;
    type Partial = C::Partial;

    fn begin_slice(&mut self) {
        self.combine.begin_slice();
    }

    #[inline(always)]
    fn push(&mut self, record: T, outbox: &mut Outbox<WithHash<T>, C::Partial>) {
        let key = (self.key_of)(&record);
        let hash = self.partitioner.hash(&key);
        if !self.combine.is_on() {
            outbox.push(self.table.owner(hash), WithHash { hash, record });
        } else if let Some(evicted) = self.combine.fold(&record, hash, key) {
            outbox.push_partial(self.table.owner(C::hash_of(&evicted)), evicted);
        }
    }

    fn empty_into(&mut self, outbox: &mut Outbox<WithHash<T>, C::Partial>) -> bool {
        while outbox.is_open() {
            let Some(partial) = self.combine.take_next() else { return true };
            outbox.push_partial(self.table.owner(C::hash_of(&partial)), partial);
        }
        false
    }

    fn settle(&mut self, outbox: &mut Outbox<WithHash<T>, C::Partial>, now: Nanos) {
        let Some(hold) = self.hold else { return };
        if self.combine.is_empty() {
            self.flush_at = None;
            return;
        }
        let flush_at = *self.flush_at.get_or_insert(now.saturating_add(hold));
        if now >= flush_at && self.empty_into(outbox) {
            self.flush_at = None;
        }
    }

    fn wake_at(&self) -> Option<Nanos> {
        self.flush_at
    }
}
