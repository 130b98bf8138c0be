//! A server for all tests, and callers of it. Set-up is one line: `let account = Account::new().await;`.

// Two test programs share it, and each uses a part.
#![allow(dead_code, unused_imports)]

mod account;
mod cluster;
mod dice;
mod feed;
mod server;
mod stopwatch;

pub use account::{Account, Answer, CUT_OFF, Call};
pub use cluster::OwnCluster;
pub use dice::Dice;
pub use feed::{Reader, Replay, encoded};
pub use server::{SECRET, Server, in_seconds, sign, token_for, tokens};
pub use stopwatch::Stopwatch;

use std::future::Future;

/// Runs the futures at the same time, each on a task of its own.
pub async fn at_once<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
