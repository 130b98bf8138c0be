//! `/healthz` and `/readyz`

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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

#[tokio::test]
async fn is_unavailable_while_the_database_takes_no_connections() {
    let server = Server::on_own_database("closed", |_| {});
    let account = Account::on(&server);
    let id = account.create(json!({"first_name": "A"})).await;
    let mut elsewhere = Account::new().await.database().await;
    sqlx::query("ALTER DATABASE closed ALLOW_CONNECTIONS false").execute(&mut elsewhere).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'closed'";
    sqlx::query(cut).execute(&mut elsewhere).await.unwrap();
    // More often than the pool has connections that it does not know to be dead.
    for _ in 0..20 {
        account.anonymous("GET", "/readyz").send().await.expect_error(503, "unavailable");
        account.get(&format!("/contacts/{id}")).await.expect_error(503, "unavailable");
        account.patch(&id, json!({"last_name": "B"})).await.expect_error(503, "unavailable");
    }
    sqlx::query("ALTER DATABASE closed ALLOW_CONNECTIONS true").execute(&mut elsewhere).await.unwrap();
    account.anonymous("GET", "/readyz").send().await.expect(200);
}

#[tokio::test]
async fn whoever_came_before_it_stopped_listening_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut callers = vec![];
    for _ in 0..16 {
        let mut caller = TcpStream::connect(address).await.unwrap();
        caller.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        callers.push(caller);
    }
    // Told to stop before it has accepted any.
    contacts::http::listen(Server::shared().app.clone(), listener, std::future::ready(())).await;
    for mut caller in callers {
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(TcpStream::connect(address).await.is_err(), "it still listens");
}
