//! How long a search may take, and what that costs everyone else.

use std::time::Duration;

use serde_json::json;

use crate::support::{Account, Server, Stopwatch, at_once};

/// An account on a server of its own whose searches wait: someone holds its contacts.
async fn blocked(name: &str, timeout: Duration) -> (Account, sqlx::PgConnection) {
    let server = Server::on_own_database(name, move |settings| settings.request_timeout = timeout);
    let account = Account::on(&server);
    account.create(json!({"first_name": "A", "email": "a@example.com"})).await;
    account.post("/contacts/search", json!({})).await.expect(200);
    let mut database = account.database().await;
    sqlx::query("BEGIN").execute(&mut database).await.unwrap();
    sqlx::query("LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE").execute(&mut database).await.unwrap();
    (account, database)
}

#[tokio::test]
async fn one_that_takes_too_long_is_503_and_sticks_to_nothing() {
    let (account, mut database) = blocked("slow_search", Duration::from_millis(300)).await;
    let started = Stopwatch::start();
    let searches = (0..30).map(|_| {
        let account = account.clone();
        async move { account.post("/contacts/search", json!({"query": "a"})).await }
    });
    for answer in at_once(searches).await {
        assert_eq!(answer.expect_error(503, "unavailable").header("retry-after"), "1");
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    // The database still has some of them at hand, but half of the pool is left for everyone else.
    account.define(json!({"label": "shoe size", "type": "number"})).await;
    sqlx::query("ROLLBACK").execute(&mut database).await.unwrap();
    account.post("/contacts/search", json!({"query": "a"})).await.expect(200);
}
