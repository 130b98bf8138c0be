//! `/healthz` and `/readyz`

use serde_json::json;

use crate::support::{Account, Server};

#[tokio::test]
async fn says_that_it_is_up_and_ready_without_a_token() {
    let account = Account::new().await;
    let health = account.anonymous("GET", "/healthz").send().await.expect(200);
    assert_eq!(
        (&health.body["name"], &health.body["version"]),
        (&json!("contacts"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(health.header("cache-control"), "no-store");
    account.anonymous("GET", "/readyz").send().await.expect(200);
}

#[tokio::test]
async fn is_not_ready_while_a_migration_is_pending() {
    let server = Server::on_own_database("pending", |_| {});
    let account = Account::on(&server);
    let mut database = account.database().await;
    sqlx::query("DELETE FROM _sqlx_migrations").execute(&mut database).await.unwrap();
    let answer = account.anonymous("GET", "/readyz").send().await.expect_error(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    account.anonymous("GET", "/healthz").send().await.expect(200);
}
