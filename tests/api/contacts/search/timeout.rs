//! Searches that exceed the request timeout, and their effect on other requests.

use std::time::Duration;

use serde_json::json;

use crate::support::{Account, Server, Stopwatch, run_concurrently};

/// Creates an account on its own server whose searches wait for a lock on `contacts`.
///
/// Returns it with the connection that holds the lock.
async fn account_with_blocked_searches(name: &str, timeout: Duration) -> (Account, sqlx::PgConnection) {
    let server = Server::with_own_database(name, move |settings| settings.request_timeout = timeout);
    let account = Account::on_server(&server);
    // The timeout is too short for the first connection to the database.
    account.wait_for_readiness(200).await;
    account.create(json!({"first_name": "A", "email": "a@example.com"})).await;
    account.post("/contacts/search", json!({})).await.expect(200);
    let mut database = account.database().await;
    sqlx::query("BEGIN").execute(&mut database).await.unwrap();
    sqlx::query("LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE").execute(&mut database).await.unwrap();
    (account, database)
}

#[tokio::test]
async fn search_past_the_request_timeout_is_503_and_leaves_connections_for_other_requests() {
    let (account, mut database) = account_with_blocked_searches("slow_search", Duration::from_millis(300)).await;
    let started = Stopwatch::start();
    let searches = (0..30).map(|_| {
        let account = account.clone();
        async move { account.post("/contacts/search", json!({"query": "a"})).await }
    });
    for response in run_concurrently(searches).await {
        assert_eq!(response.expect_error(503, "unavailable").header("retry-after"), "1");
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    // The database still processes some of the searches, but they do not occupy the connections of other requests.
    for account in [&Account::on_server(&account.server), &account] {
        account.define(json!({"label": "shoe size", "type": "number"})).await;
    }
    sqlx::query("ROLLBACK").execute(&mut database).await.unwrap();
    account.post("/contacts/search", json!({"query": "a"})).await.expect(200);
}

#[tokio::test]
async fn slow_search_without_an_index_is_503_with_the_filters_that_have_one() {
    let server = Server::with_database_settings("slow_scan", |settings| settings.timeout = Duration::from_millis(500));
    let account = Account::on_server(&server);
    // The timeout is too short for the first connection to the database.
    account.wait_for_readiness(200).await;
    account.create(json!({"first_name": "A"})).await;
    let search = json!({"filters": [{"property": "job_title", "operator": "eq", "value": "Analyst"}]});
    account.post("/contacts/search", search.clone()).await.expect(200);
    let mut database = account.database().await;
    sqlx::query("BEGIN").execute(&mut database).await.unwrap();
    sqlx::query("LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE").execute(&mut database).await.unwrap();
    let response = account.post("/contacts/search", search).await.expect_error(503, "unavailable");
    assert_eq!(response.header("retry-after"), "1");
    let message = response.body["message"].as_str().unwrap();
    assert!(message.contains("Add a query, or a filter that has an index"), "{message}");
}
