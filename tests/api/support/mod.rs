//! Test servers and the accounts that call them. The set-up of a test is one line:
//! `let account = Account::new().await;`.

// Several test programs include this module, and each uses a part of it.
#![allow(dead_code, unused_imports)]

mod account;
mod cluster;
mod feed;
mod pgbouncer;
mod random;
mod server;
mod stopwatch;
mod test_seed;
mod test_server;

pub use account::{Account, ApiRequest, ApiResponse, NO_RESPONSE};
pub use cluster::DedicatedCluster;
pub use feed::{FeedReader, FeedReplay, percent_encoded};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use random::SeededRandom;
pub use server::{SECRET, Server, sign, timestamp_in, token_for, token_settings};
pub use stopwatch::Stopwatch;
pub use test_seed::{proptest_config, test_seed};
pub use test_server::set_up_role;

use std::future::Future;

/// Runs the futures concurrently, each in its own task, and returns their results in order.
pub async fn run_concurrently<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
