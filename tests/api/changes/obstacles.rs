//! Transactions of others that stand in the way of writers, and of feeds that order by time or transaction.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;

use super::storm::Log;
use crate::support::{Account, Dice};

/// Obstacles that stand until they are dropped.
pub struct Obstacles(Vec<JoinHandle<()>>);

impl Obstacles {
    /// Holds rows of contacts and of the account in transactions of up to a tenth of a second, one transaction
    /// elsewhere all the while, and changes the account's fields.
    pub fn of(account: &Account, log: &Arc<Log>) -> Self {
        let mut tasks: Vec<_> = (0..3).map(|seed| tokio::spawn(hold(account.clone(), Arc::clone(log), seed))).collect();
        tasks.push(tokio::spawn(stay(account.clone())));
        tasks.push(tokio::spawn(change_fields(account.clone())));
        Self(tasks)
    }
}

impl Drop for Obstacles {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn hold(account: Account, log: Arc<Log>, seed: u64) {
    let mut dice = Dice::new(1_000 + seed);
    let mut database = account.database().await;
    loop {
        let strength = *dice.pick(&["UPDATE", "NO KEY UPDATE", "SHARE"]);
        let (account, id) = (account.id, log.any_id(&mut dice));
        let row = if dice.hits(3) {
            format!("accounts WHERE account_id = '{account}'")
        } else {
            format!("contacts WHERE account_id = '{account}' AND id = '{id}'")
        };
        let begin = format!("BEGIN; SELECT 1 FROM {row} FOR {strength}");
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut database).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20 + dice.roll(80))).await;
        sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
        tokio::time::sleep(Duration::from_millis(dice.roll(40))).await;
    }
}

/// A transaction older than all others, with an id of its own.
async fn stay(account: Account) {
    let mut database = account.database().await;
    let begin = "BEGIN; CREATE TABLE elsewhere (); SELECT pg_current_xact_id()";
    sqlx::raw_sql(begin).execute(&mut database).await.unwrap();
    std::future::pending::<()>().await;
}

/// Each change makes writes that are under way check again what they were checked against.
async fn change_fields(account: Account) {
    for turn in 0_u64.. {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let label = json!({"label": format!("Score {turn}")});
        account.call("PATCH", "/fields/score").json(&label).send().await;
    }
}
