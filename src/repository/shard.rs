//! Distribution of accounts over a fixed number of shards.

use uuid::Uuid;

/// Returns the shard of an account, from 0 to `count - 1`.
pub(super) fn shard_of(account: Uuid, count: usize) -> usize {
    let (high, low) = account.as_u64_pair();
    // Fibonacci hashing: account ids may differ in any of their bits.
    let hash = (high ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(hash).unwrap_or_default() % count
}
