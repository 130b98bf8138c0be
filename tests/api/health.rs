//! `/healthz` and `/readyz`

use std::time::Duration;

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Account, Server, Stopwatch, run_concurrently};

#[tokio::test]
async fn healthz_and_readyz_are_200_without_a_token() {
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
async fn readyz_is_503_while_a_migration_is_pending() {
    let server = Server::with_own_database("pending", |_| {});
    let account = Account::on_server(&server);
    let mut database = account.database().await;
    sqlx::query("DELETE FROM _sqlx_migrations").execute(&mut database).await.unwrap();
    let response = account.wait_for_readiness(503).await.expect_error(503, "unavailable");
    assert_eq!(response.header("retry-after"), "1");
    account.anonymous("GET", "/healthz").send().await.expect(200);
}

#[tokio::test]
async fn requests_are_503_while_the_database_refuses_connections() {
    let server = Server::with_own_database("closed", |_| {});
    let account = Account::on_server(&server);
    let id = account.create(json!({"first_name": "A"})).await;
    let name = "SELECT current_database()::text";
    let name: String = sqlx::query_scalar(name).fetch_one(&mut account.database().await).await.unwrap();
    let mut other_database = Account::new().await.database().await;
    let allow_connections = |is_allowed| AssertSqlSafe(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {is_allowed}"));
    sqlx::raw_sql(allow_connections(false)).execute(&mut other_database).await.unwrap();
    let terminate_connections = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(terminate_connections).bind(&name).execute(&mut other_database).await.unwrap();
    account.wait_for_readiness(503).await;
    // More attempts than the pool has connections, so that every dead connection is taken from it once.
    for _ in 0..20 {
        account.anonymous("GET", "/readyz").send().await.expect_error(503, "unavailable");
        account.get(&format!("/contacts/{id}")).await.expect_error(503, "unavailable");
        account.patch(&id, json!({"last_name": "B"})).await.expect_error(503, "unavailable");
    }
    sqlx::raw_sql(allow_connections(true)).execute(&mut other_database).await.unwrap();
    account.wait_for_readiness(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_readyz_and_metrics_take_no_database_connection_from_other_requests() {
    let server = Server::with_own_database("readiness_calls", |_| {});
    let account = Account::on_server(&server);
    account.get("/contacts").await.expect(200);
    account.wait_for_readiness(200).await;
    // The check of the schema now waits until the lock is released.
    let mut database = account.database().await;
    let mut lock = database.begin().await.unwrap();
    sqlx::query("LOCK TABLE _sqlx_migrations").execute(&mut *lock).await.unwrap();
    let calls = (0..200).map(|number| {
        let path = if number % 2 == 0 { "/readyz" } else { "/metrics" };
        let call = account.anonymous("GET", path);
        async move { call.send().await.status }
    });
    let other_requests = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let started = Stopwatch::start();
        account.get("/contacts").await.expect(200);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    };
    let (statuses, ()) = tokio::join!(run_concurrently(calls), other_requests);
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    account.wait_for_readiness(503).await;
    lock.rollback().await.unwrap();
    account.wait_for_readiness(200).await;
    server.app.drain();
    account.anonymous("GET", "/readyz").send().await.expect_error(503, "unavailable");
}

#[tokio::test]
async fn requests_sent_before_shutdown_are_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients = vec![];
    for _ in 0..16 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    // The shutdown signal is set before the service has accepted any connection.
    contacts::http::listen(Server::shared().app.clone(), listener, std::future::ready(())).await;
    for mut client in clients {
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
    assert!(TcpStream::connect(address).await.is_err(), "the service still accepts connections");
}
