//! Transactions that block writers, and that would break a feed ordered by time or by transaction id.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;

use super::concurrent_writers::WriteLog;
use crate::support::{Account, SeededRandom, test_seed};

/// Background tasks with interfering transactions. Dropping this stops them.
pub struct InterferingTransactions(Vec<JoinHandle<()>>);

impl InterferingTransactions {
    /// Starts three tasks that lock rows of contacts and of the account for up to 100 ms, one that keeps a transaction
    /// open all the time, and one that changes the account's fields.
    pub fn start(account: &Account, log: &Arc<WriteLog>) -> Self {
        // The writers use other random numbers.
        let seed = test_seed() + 1_000;
        let mut tasks: Vec<_> =
            (0..3).map(|index| tokio::spawn(lock_rows(account.clone(), Arc::clone(log), seed + index))).collect();
        tasks.push(tokio::spawn(keep_transaction_open(account.clone())));
        tasks.push(tokio::spawn(change_fields(account.clone())));
        Self(tasks)
    }
}

impl Drop for InterferingTransactions {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Locks a random row again and again.
async fn lock_rows(account: Account, log: Arc<WriteLog>, seed: u64) {
    let mut random = SeededRandom::new(seed);
    let mut database = account.database().await;
    loop {
        let lock_strength = *random.choose(&["UPDATE", "NO KEY UPDATE", "SHARE"]);
        let (account, id) = (account.id, log.random_id(&mut random));
        let row = if random.one_in(3) {
            format!("accounts WHERE account_id = '{account}'")
        } else {
            format!("contacts WHERE account_id = '{account}' AND id = '{id}'")
        };
        let begin = format!("BEGIN; SELECT 1 FROM {row} FOR {lock_strength}");
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut database).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20 + random.below(80))).await;
        sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.below(40))).await;
    }
}

/// Keeps a transaction open whose transaction id is lower than the ids of all writers.
async fn keep_transaction_open(account: Account) {
    let mut database = account.database().await;
    let begin = "BEGIN; CREATE TABLE elsewhere (); SELECT pg_current_xact_id()";
    sqlx::raw_sql(begin).execute(&mut database).await.unwrap();
    std::future::pending::<()>().await;
}

/// Changes a field again and again. Each change makes running writes validate their values again, because the field
/// registry that they have used is outdated.
async fn change_fields(account: Account) {
    for turn in 0_u64.. {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let label = json!({"label": format!("Score {turn}")});
        account.call("PATCH", "/fields/score").json(&label).send().await;
    }
}
