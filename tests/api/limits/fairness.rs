//! The share of each account: one account cannot take what the others need.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use crate::support::{Account, ApiResponse, Server};

const INSERT_CONTACTS: &str = "INSERT INTO contacts (account_id, id, version, last_name, created_at, updated_at) \
                    SELECT 'ACCOUNT', gen_random_uuid(), 1, 'N' || n, now(), now() FROM generate_series(1, 100000) n";

/// Returns a search that reads all contacts of the account.
fn slow_search() -> Value {
    json!({"filters": [{"property": "last_name", "operator": "contains", "value": "no such name"}]})
}

async fn search(account: &Account) -> ApiResponse {
    account.post("/contacts/search", slow_search()).await
}

/// Lets an account send 200 searches at a time until the returned tasks are dropped. Some of them are rejected.
async fn keep_searching(account: &Account) -> JoinSet<()> {
    let searches = (0..200).map(|_| {
        let account = account.clone();
        async move {
            loop {
                assert!([200, 503].contains(&search(&account).await.status));
            }
        }
    });
    let tasks = JoinSet::from_iter(searches);
    // Until the queue is long, and its service time is known.
    while search(account).await.status == 200 {}
    tasks
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_of_one_account_do_not_keep_another_from_searching() {
    let server = Server::with_own_database("fair_searches", |_| {});
    let (busy, other) = (Account::on_server(&server), Account::on_server(&server));
    let insert = INSERT_CONTACTS.replace("ACCOUNT", &busy.id.to_string());
    let mut database = busy.database().await;
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut database).await.unwrap();
    sqlx::raw_sql("ANALYZE contacts").execute(&mut database).await.unwrap();
    let id = other.create(json!({"first_name": "A"})).await;
    let _searches = keep_searching(&busy).await;
    for _ in 0..12 {
        search(&other).await.expect(200);
        other.get("/contacts").await.expect(200);
        other.patch(&id, json!({"first_name": "B"})).await.expect(200);
    }
}
