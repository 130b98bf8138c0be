//! Pseudo-random numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Returns a pseudo-random number. No two calls return the same number.
pub fn next_number() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut number = COUNTER.fetch_add(1, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    // The output function of SplitMix64.
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
