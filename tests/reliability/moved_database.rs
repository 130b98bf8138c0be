//! The database moves to another server: the service notices without being restarted, and connects to the new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinSet;

use crate::database_proxy::{DatabaseProxy, NetworkState};
use crate::service_process::ServiceProcess;
use crate::support::{Account, DedicatedCluster, Server, Stopwatch, run_concurrently};

/// The longest time from the moment when new connections reach a primary until writes succeed again.
const MAX_RECOVERY_TIME: Duration = Duration::from_secs(5);

/// Starts a service with the default timeouts. Returns it with an account and one of its contacts.
async fn start(url: String, server: &Server) -> (ServiceProcess, Account, String) {
    let mut service = ServiceProcess::new(url, &[]);
    service.start();
    service.wait_until_ready().await;
    let account = Account::on_server(server).on_address(service.address());
    let contact = account.create(json!({"first_name": "Ada"})).await;
    (service, account, contact)
}

async fn is_written(account: &Account, contact: &str) -> bool {
    account.patch(contact, json!({"first_name": "Grace"})).await.status == 200
}

/// Waits until writes succeed.
async fn expect_recovery(account: &Account, contact: &str) {
    let started = Stopwatch::start();
    while !is_written(account, contact).await {
        assert!(started.elapsed() < MAX_RECOVERY_TIME, "writes still fail after {:?}", started.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Callers that read and write without a pause.
struct Load {
    is_over: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    fn start(account: &Account, contact: &str) -> Self {
        let (is_over, mut callers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for number in 0..8 {
            let (account, contact, is_over) = (account.clone(), contact.to_owned(), is_over.clone());
            callers.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let status = match number % 2 {
                        0 => account.get(&format!("/contacts/{contact}")).await.status,
                        _ => account.patch(&contact, json!({"last_name": "Hopper"})).await.status,
                    };
                    assert!([200, 503].contains(&status), "{status}");
                }
            });
        }
        Self { is_over, callers }
    }

    async fn stop(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_succeed_after_a_switch_over_under_load() {
    switch_over(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_succeed_after_a_switch_over_without_load() {
    switch_over(false).await;
}

/// The old connections stay open, and reach a server that is read-only now.
async fn switch_over(is_loaded: bool) {
    let database = DedicatedCluster::new().await;
    let (service, account, contact) = start(database.url(), &database.server()).await;
    let load = is_loaded.then(|| Load::start(&account, &contact));
    // All sessions are read-only, as on a standby.
    database.alter_system("default_transaction_read_only = on").await;
    let started = Stopwatch::start();
    while account.anonymous("GET", "/readyz").send().await.expect(200).body["writable"] == true {
        assert!(started.elapsed() < MAX_RECOVERY_TIME, "the database still counts as writable");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    account.patch(&contact, json!({"first_name": "Grace"})).await.expect_error(503, "unavailable");
    account.get(&format!("/contacts/{contact}")).await.expect(200);
    account.get("/contacts").await.expect(200);
    let metrics = account.anonymous("GET", "/metrics").send().await.expect(200).text;
    assert!(metrics.lines().any(|line| line == "contacts_database_writable 0"), "{metrics}");

    // New sessions can write, as if they reached another server. The old ones stay read-only.
    let mut operator = PgConnection::connect(&database.url()).await.unwrap();
    operator.execute("SET default_transaction_read_only = off").await.unwrap();
    operator.execute("ALTER ROLE contacts SET default_transaction_read_only = off").await.unwrap();
    expect_recovery(&account, &contact).await;
    for _ in 0..100 {
        account.patch(&contact, json!({"first_name": "Grace"})).await.expect(200);
    }
    let ready = account.anonymous("GET", "/readyz").send().await.expect(200);
    assert_eq!(ready.body, json!({"status": "ready", "writable": true}));
    if let Some(load) = load {
        load.stop().await;
    }
    assert!(!service.log().contains("panicked"), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_on_a_frozen_database_end_soon_and_its_successor_is_used_at_once() {
    let database = DedicatedCluster::new().await;
    let proxy = DatabaseProxy::start(&database.url()).await;
    let (service, account, contact) = start(proxy.url(), &database.server()).await;
    let path = format!("/contacts/{contact}");
    let mut watcher = PgConnection::connect(&database.url()).await.unwrap();
    for _ in 0..2 {
        expect_recovery(&account, &contact).await;
        let frozen = Stopwatch::start();
        proxy.set_state(NetworkState::Silent);
        let calls = |count: usize| {
            (0..count).map(|number| {
                let (account, path, contact) = (account.clone(), path.clone(), contact.clone());
                async move {
                    let started = Stopwatch::start();
                    let response = match number % 3 {
                        0 => account.get(&path).await,
                        1 => account.get("/contacts?limit=2").await,
                        _ => account.patch(&contact, json!({"last_name": "Hopper"})).await,
                    };
                    response.expect_error(503, "unavailable");
                    started.elapsed()
                }
            })
        };
        // The probe takes at most a second to notice. The rest is for a busy machine.
        for took in run_concurrently(calls(12)).await {
            assert!(took < Duration::from_millis(2_500), "a call in flight took {took:?}");
        }
        while frozen.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for took in run_concurrently(calls(12)).await {
            assert!(took < Duration::from_millis(2_500), "a later call took {took:?}");
        }
        let status = account.anonymous("GET", "/readyz").send().await.status;
        assert_eq!(status, 503);

        // A standby has taken over: new connections work, and the old ones stay frozen.
        proxy.freeze_connections();
        proxy.set_state(NetworkState::Delayed(Duration::ZERO));
        expect_recovery(&account, &contact).await;
        for _ in 0..50 {
            account.get(&path).await.expect(200);
        }
    }
    let is_alive: bool = sqlx::query_scalar("SELECT true").fetch_one(&mut watcher).await.unwrap();
    assert!(is_alive && !service.log().contains("panicked"), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn host_that_can_write_is_used() {
    let database = DedicatedCluster::new().await;
    let (first, second) = (DatabaseProxy::start(&database.url()).await, DatabaseProxy::start(&database.url()).await);
    let url = format!(
        "postgres://contacts@{},{}/template?sslmode=disable&target_session_attrs=read-write",
        first.address(),
        second.address()
    );
    first.set_state(NetworkState::Silent);
    let (service, account, contact) = start(url, &database.server()).await;
    for (down, up) in [(&second, &first), (&first, &second)] {
        up.set_state(NetworkState::Delayed(Duration::ZERO));
        down.set_state(NetworkState::Silent);
        down.freeze_connections();
        // The calls that are in flight when the database is lost are 503.
        tokio::time::sleep(Duration::from_secs(1)).await;
        expect_recovery(&account, &contact).await;
        account.get("/contacts").await.expect(200);
    }
    assert!(!service.log().contains("panicked"), "{}", service.log());
}

/// Errors of the database that pass: no connection, no resources, an operator, the system.
#[tokio::test(flavor = "multi_thread")]
async fn error_classes_that_pass_are_503() {
    let database = DedicatedCluster::new().await;
    let account = Account::on_server(&database.server());
    let contact = account.create(json!({"first_name": "Ada"})).await;
    let mut operator = PgConnection::connect(&database.url()).await.unwrap();
    for code in ["08006", "53200", "57P03", "58030"] {
        let function = format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'failed' USING ERRCODE = '{code}'; END $$"
        );
        operator.execute(sqlx::AssertSqlSafe(function)).await.unwrap();
        operator
            .execute("CREATE OR REPLACE TRIGGER fail BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION fail()")
            .await
            .unwrap();
        let response = account.patch(&contact, json!({"first_name": code})).await.expect_error(503, "unavailable");
        assert!(!response.header("retry-after").is_empty(), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_with_another_encoding_is_named_in_one_line() {
    let database = DedicatedCluster::new().await;
    let mut operator = PgConnection::connect(&database.url()).await.unwrap();
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let create = format!("CREATE DATABASE {encoding} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        operator.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
        let url = database.url().replace("template", &encoding.to_lowercase());
        let mut service = ServiceProcess::new(url, &[]);
        service.start();
        let account = Account::on_server(&database.server()).on_address(service.address());
        let started = Stopwatch::start();
        while !service.log().contains(encoding) {
            assert!(started.elapsed() < MAX_RECOVERY_TIME, "{}", service.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        account.anonymous("GET", "/readyz").send().await.expect(503);
        account.get("/contacts").await.expect_error(503, "unavailable");
        service.expect_running();
        let log = service.log();
        let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(errors.len() == 1 && errors[0].contains(encoding) && errors[0].contains("UTF8"), "{log}");
    }
}
