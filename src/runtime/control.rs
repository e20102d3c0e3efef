//! Control messages to a partition: the mailbox, never the lanes.

use std::future::Future;
use std::sync::mpsc::Sender;

use actix::{Addr, Message};

use crate::dataflow::Order;
use crate::exchange::wake::{Sleeper, Wake};
use crate::runtime::actor::PartitionActor;
use crate::runtime::idle::Ladder;
use crate::runtime::partition::{Instance, Look};

/// What a partition can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// End the sources, work off what is there.
    Drain,
    /// Drop everything and end.
    Stop,
}

impl Message for Control {
    type Result = ();
}

impl Message for Order {
    type Result = ();
}

/// Asks a partition how it fares.
pub(crate) struct Ask {
    pub(crate) with_sample: bool,
}

impl Message for Ask {
    /// `None` if it has ended.
    type Result = Option<Look>;
}

/// What a partition is to answer once its tasks are that far. One that ends drops it.
pub enum Summons {
    /// All tasks have stopped or ended.
    Rest(Sender<()>),
    /// The tasks, which have, and no longer are the partition's.
    Vacate {
        /// Tasks whose instance here is dropped: the partition is to be no more. Else none.
        leaves: Vec<usize>,
        /// Where to send them.
        answer: Sender<Vacated>,
    },
}

impl Message for Summons {
    type Result = ();
}

/// What a partition gives up.
pub struct Vacated {
    /// Index of the partition.
    pub index: usize,
    /// Its tasks.
    pub instances: Vec<Instance>,
    /// What others who are no more were woken by.
    pub adopted: Vec<Sleeper>,
    /// What it sleeps with itself, if it is to be no more.
    pub own: Option<Sleeper>,
}

/// What a partition that has given its tasks up runs from now on.
pub struct Settle {
    /// Its tasks, in the order of the graph.
    pub instances: Vec<Instance>,
    /// Those of partitions that are no more, whose wake-ups are for it.
    pub adopted: Vec<Sleeper>,
    /// How it idles.
    pub ladder: Ladder,
    /// The core to pin it to.
    pub core: Option<usize>,
}

impl Message for Settle {
    type Result = ();
}

/// A running partition, as others see it.
#[derive(Clone)]
pub struct PartitionHandle {
    mailbox: Addr<PartitionActor>,
    wake: Wake,
}

impl PartitionHandle {
    pub(crate) fn new(mailbox: Addr<PartitionActor>, wake: Wake) -> Self {
        PartitionHandle { mailbox, wake }
    }

    /// Gives an order to the partition's tasks; `false` if its mailbox is full. One that has ended
    /// hears nothing, and says nothing either.
    pub fn order(&self, order: Order) -> bool {
        let told = self.mailbox.try_send(order);
        self.wake.wake();
        !matches!(told, Err(actix::prelude::SendError::Full(_)))
    }

    /// Has the partition answer; `false` if it cannot be reached.
    pub fn summon(&self, summons: Summons) -> bool {
        let told = self.mailbox.try_send(summons);
        self.wake.wake();
        told.is_ok()
    }

    /// Has the partition go on with other tasks; `false` if it cannot be reached.
    pub fn settle(&self, settle: Settle) -> bool {
        let told = self.mailbox.try_send(settle);
        self.wake.wake();
        told.is_ok()
    }

    /// Asks how the partition fares; `None` if it has ended. The answer comes between two turns.
    ///
    /// * `with_sample` - also what its keys cost since the last such question.
    pub fn look(&self, with_sample: bool) -> impl Future<Output = Option<Look>> + use<> {
        let answer = self.mailbox.send(Ask { with_sample });
        self.wake.wake();
        async move { answer.await.ok().flatten() }
    }

    /// Wakes the partition, so that it looks around.
    pub fn wake(&self) {
        self.wake.wake();
    }

    /// Tells the partition; `false` if its mailbox is full. A partition that has ended counts as
    /// told, since nothing is left to be done.
    pub fn tell(&self, control: Control) -> bool {
        let told = self.mailbox.try_send(control);
        // The mailbox wakes the runtime, but a partition may sleep deeper than that.
        self.wake.wake();
        !matches!(told, Err(actix::prelude::SendError::Full(_)))
    }
}
