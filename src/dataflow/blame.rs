//! Which operator, and which key, a panic came from, at no cost for records that cause none.
//!
//! Each stage arms a guard around its call and disarms it by forgetting it, so the guard's drop
//! runs only while a panic unwinds. The innermost guard drops first and names the culprit. The
//! drops are inlined, so that a guard's address goes nowhere: else each would be stored for each
//! record.

use std::cell::RefCell;
use std::fmt::Debug;

thread_local! {
    static CULPRIT: RefCell<Option<Culprit>> = const { RefCell::new(None) };
}

/// Who panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// The operator's `NAME`; `None` is the sink behind the operators.
    pub operator: Option<&'static str>,
    /// The key in hand, as `Debug` prints it, where there is one.
    pub key: Option<String>,
}

/// The culprit of the panic that was just caught on this thread, if it was in an operator or in a
/// sink that they feed.
pub fn take_culprit() -> Option<Culprit> {
    CULPRIT.with(|culprit| culprit.borrow_mut().take())
}

/// What a panic has to say.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cold]
#[inline(never)]
fn accuse(operator: Option<&'static str>, key: Option<&dyn Debug>) {
    CULPRIT.with(|culprit| {
        let mut culprit = culprit.borrow_mut();
        if culprit.is_none() {
            *culprit = Some(Culprit { operator, key: key.map(|key| format!("{key:?}")) });
        }
    });
}

/// Names an operator, or the sink, if a panic unwinds before it is [`over`](Watch::over).
///
/// An object and no function around a closure: what the closure takes in would be stored for it
/// where the compiler does not inline it.
pub(crate) struct Watch(Option<&'static str>);

impl Watch {
    /// Watches a call of `operator`.
    #[inline(always)]
    pub(crate) fn operator(operator: &'static str) -> Watch {
        Watch(Some(operator))
    }

    /// Watches a call of a sink: no operator is named, though some are under way.
    #[inline(always)]
    pub(crate) fn sink() -> Watch {
        Watch(None)
    }

    /// The call has come back.
    #[inline(always)]
    pub(crate) fn over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Watch {
    #[inline(always)]
    fn drop(&mut self) {
        accuse(self.0, None);
    }
}

/// Runs `call`; if it panics, `operator` and `key` are named.
#[inline(always)]
pub(crate) fn watched_key<K: Debug, R>(
    operator: &'static str,
    key: &K,
    call: impl FnOnce() -> R,
) -> R {
    struct Guard<'a, K: Debug>(&'static str, &'a K);
    impl<K: Debug> Drop for Guard<'_, K> {
        #[inline(always)]
        fn drop(&mut self) {
            accuse(Some(self.0), Some(self.1));
        }
    }
    let guard = Guard(operator, key);
    let result = call();
    std::mem::forget(guard);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn innermost_stage_and_its_key_are_named() {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let _outer = Watch::operator("outer");
            watched_key("inner", &7, || panic!("planted"))
        }));
        assert!(outcome.is_err());
        let culprit = take_culprit().expect("a guard saw it");
        assert_eq!(culprit, Culprit { operator: Some("inner"), key: Some("7".to_owned()) });
        assert_eq!(take_culprit(), None);
    }

    #[test]
    fn sink_within_operators_is_not_taken_for_one() {
        let outcome = catch_unwind(|| {
            let (_map, _sink) = (Watch::operator("map"), Watch::sink());
            panic!("planted")
        });
        let outcome: std::thread::Result<()> = outcome;
        assert!(outcome.is_err());
        assert_eq!(take_culprit(), Some(Culprit { operator: None, key: None }));
    }

    #[test]
    fn no_panic_names_nobody() {
        Watch::operator("fine").over();
        assert_eq!(take_culprit(), None);
    }
}
