//! Asking the memory for a cache line early: the one thing safe Rust cannot say.

#![allow(unsafe_code)] // Budget: 1 block. Proof: the pointer is a live reference's.

/// Asks for the cache line on which `value` begins. Changes nothing but time.
#[inline(always)]
pub(super) fn prefetch<T>(value: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads and writes nothing the program can see and cannot fault; SSE, which
    // it belongs to, is part of every x86_64; and the address is that of a live reference anyway.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = value;
}
