//! Control messages to a partition: the mailbox, never the lanes.

use std::future::Future;

use actix::{Addr, Message};

use crate::dataflow::Order;
use crate::exchange::wake::Wake;
use crate::runtime::actor::PartitionActor;
use crate::runtime::partition::Look;

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
