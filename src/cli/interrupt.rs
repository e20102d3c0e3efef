//! Ctrl-C: the first one asks the command to wind up, the second one ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::error::{Error, ErrorKind, Result};

/// The exit code of a command that a second interrupt ended: 128 + SIGINT.
const ENDED: i32 = 130;

/// Whether the user asked to wind up. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to listen. Call it once.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] if the system does not let us.
    pub(crate) fn listen() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        // In this order: an interrupt that finds the flag set ends the process, then it is set.
        flag::register_conditional_shutdown(SIGINT, ENDED, Arc::clone(&interrupt.asked))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&interrupt.asked)))
            .map_err(|error| {
                Error::new(ErrorKind::Permission, "cannot listen for interrupts").with_source(error)
            })?;
        Ok(interrupt)
    }

    /// Whether it came.
    pub(crate) fn is_asked(&self) -> bool {
        // SeqCst is what the signal's side stores with; nothing else is published by it.
        self.asked.load(Ordering::SeqCst)
    }
}
