//! The service behind PgBouncer: in session mode it works. In transaction mode it works with PgBouncer 1.21 or newer, if the role has
//! the settings of its sessions, and refuses to start otherwise.
//!
//! `TEST_PGBOUNCER` is the path of another PgBouncer than the installed one.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::service_process::ServiceProcess;
use crate::support::{Account, DedicatedCluster, PgBouncer, PoolMode, Stopwatch, run_concurrently, set_up_role};

/// The longest time that a write may take while another session has locked another contact, on a busy machine. A write that waits for the
/// lock takes 10 s.
const MAX_TIME_BESIDE_LOCK: Duration = Duration::from_secs(5);

const PREPARED: &str = "max_prepared_statements = 200\ndefault_pool_size = 20";

/// Starts a PgBouncer in transaction mode that keeps prepared statements. Returns `None` if there is none.
fn start_with_prepared_statements(database: &DedicatedCluster) -> Option<PgBouncer> {
    if !PgBouncer::keeps_prepared_statements() {
        eprintln!("SKIPPED: PgBouncer is older than 1.21 (set TEST_PGBOUNCER to the path of a newer one)");
        return None;
    }
    PgBouncer::start(&database.url(), PoolMode::Transaction, PREPARED)
}

async fn start_service(url: &str) -> ServiceProcess {
    let mut service = ServiceProcess::new(url.to_owned(), &[]);
    service.start();
    service.wait_until_ready().await;
    service
}

/// Waits until the service has refused to start, and returns its log.
async fn expect_refusal(url: &str, migrate_on_start: &'static str) -> String {
    let mut service = ServiceProcess::new(url.to_owned(), &[("MIGRATE_ON_START", migrate_on_start)]);
    service.start();
    let started = Stopwatch::start();
    while !service.has_exited() {
        assert!(started.elapsed() < Duration::from_secs(10), "{}", service.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = service.log();
    assert_eq!(log.lines().filter(|line| line.contains("transaction mode")).count(), 1, "{log}");
    log
}

/// Runs a command of the program. Returns whether it has succeeded, and its errors.
fn run_command(url: &str, arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_contacts"));
    command.args(arguments).env_clear().env("DATABASE_URL", url).env("RUST_LOG", "error").current_dir(folder.path());
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// Checks that no session holds the lock of a migration.
async fn expect_no_migration_lock(database: &DedicatedCluster) {
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    let mut operator = PgConnection::connect(&database.url()).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(locks).fetch_one(&mut operator).await.unwrap(), 0);
}

/// Calls the service in many ways at the same time.
async fn use_service(database: &DedicatedCluster, service: &ServiceProcess) {
    let account = Account::on_server(&database.server()).on_address(service.address());
    account.define(json!({"label": "Size", "type": "number"})).await;
    let ids = run_concurrently((0..32).map(|number| {
        let account = account.clone();
        async move { account.create(json!({"first_name": format!("Ada {number}"), "size": number})).await }
    }))
    .await;
    let call = |number: usize| {
        let (account, id) = (account.clone(), ids[number % ids.len()].clone());
        async move {
            match number % 5 {
                0 => account.get(&format!("/contacts/{id}?properties=size")).await,
                1 => account.patch(&id, json!({"size": number})).await,
                2 => account.get("/contacts?limit=5").await,
                3 => account.get("/contacts/changes?limit=5").await,
                _ => {
                    // Each has another statement, most of them too long to be kept prepared.
                    let filter = |size| json!({"property": "size", "operator": "gte", "value": size});
                    let filters: Vec<_> = (0..=number % 20).map(filter).collect();
                    account.post("/contacts/search", json!({"filters": filters, "query": "ada"})).await
                }
            }
            .expect(200)
        }
    };
    for round in 0..10 {
        run_concurrently((0..40).map(|number| call(round * 40 + number))).await;
    }
    let inputs: Vec<_> = ids.iter().map(|id| json!({"id": id, "fields": {"last_name": "L"}})).collect();
    account.batch("update", json!({"inputs": inputs, "atomic": true})).await.expect(200);
    account.call("PATCH", "/fields/size").json(&json!({"label": "Shoe size"})).send().await.expect(200);
    assert_eq!(account.anonymous("GET", "/readyz").send().await.expect(200).body["writable"], true);
    assert!(!service.log().contains("ERROR"), "{}", service.log());
}

/// Writes to accounts of which another session has locked a contact, and to others.
async fn write_beside_lock(database: &DedicatedCluster, service: &ServiceProcess) {
    let locked = Account::on_server(&database.server()).on_address(service.address());
    let ids = [locked.create(json!({"first_name": "A"})).await, locked.create(json!({"first_name": "B"})).await];
    let others: Vec<_> = (0..16).map(|_| locked.for_new_account()).collect();
    let mut contacts = vec![];
    for other in &others {
        contacts.push(other.create(json!({"first_name": "C"})).await);
    }
    let lock = locked.lock_contact(&ids[0]).await;
    let waiting: Vec<_> = (0..4)
        .map(|number| {
            let (account, id) = (locked.clone(), ids[0].clone());
            tokio::spawn(async move { account.patch(&id, json!({"last_name": number.to_string()})).await.status })
        })
        .collect();
    for round in 0..5 {
        let writes = others.iter().cloned().zip(contacts.clone()).chain([(locked.clone(), ids[1].clone())]);
        let writes = writes.map(|(account, id)| async move {
            let started = Stopwatch::start();
            account.patch(&id, json!({"last_name": round.to_string()})).await.expect(200);
            account.for_new_account().create(json!({"first_name": "New"})).await;
            started.elapsed()
        });
        for took in run_concurrently(writes.collect::<Vec<_>>()).await {
            assert!(took < MAX_TIME_BESIDE_LOCK, "a write beside a locked row took {took:?}");
        }
    }
    assert!(waiting.iter().all(|write| !write.is_finished()), "the row is locked");
    lock.close().await.unwrap();
    for write in waiting {
        assert_eq!(write.await.unwrap(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_lock_of_another_session_delays_no_other_write() {
    let database = DedicatedCluster::new().await;
    write_beside_lock(&database, &start_service(&database.url()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_works_behind_pgbouncer_in_session_mode() {
    let database = DedicatedCluster::new().await;
    let Some(pgbouncer) = PgBouncer::start(&database.url(), PoolMode::Session, "default_pool_size = 60") else {
        return;
    };
    let service = start_service(&pgbouncer.url(&database.url())).await;
    use_service(&database, &service).await;
    write_beside_lock(&database, &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_refuses_transaction_mode_without_prepared_statements_in_one_line() {
    let database = DedicatedCluster::new().await;
    let settings = if PgBouncer::keeps_prepared_statements() { "max_prepared_statements = 0" } else { "" };
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        let Some(pgbouncer) = PgBouncer::start(&database.url(), mode, settings) else { return };
        let url = pgbouncer.url(&database.url());
        for migrate_on_start in ["true", "false"] {
            let log = expect_refusal(&url, migrate_on_start).await;
            assert!(log.contains("does not keep prepared statements"), "{log}");
        }
        let (has_succeeded, errors) = run_command(&url, &["migrate"]);
        assert!(!has_succeeded && errors.lines().count() == 1 && errors.contains("prepared statements"), "{errors}");
    }
    expect_no_migration_lock(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_works_behind_pgbouncer_in_transaction_mode_once_its_role_has_the_settings() {
    let database = DedicatedCluster::new().await;
    let Some(pgbouncer) = start_with_prepared_statements(&database) else { return };
    let url = pgbouncer.url(&database.url());
    let log = expect_refusal(&url, "true").await;
    for setting in ["plan_cache_mode = 'force_generic_plan'", "statement_timeout = '10000ms'", "enable_seqscan = 'off'"]
    {
        assert!(log.contains(&format!("ALTER ROLE contacts SET {setting};")), "{log}");
    }
    drop(pgbouncer);
    set_up_role(&database.url()).await;

    let Some(pgbouncer) = start_with_prepared_statements(&database) else { return };
    let service = start_service(&pgbouncer.url(&database.url())).await;
    // Each is a client of the same sessions.
    let second = start_service(&pgbouncer.url(&database.url())).await;
    tokio::join!(use_service(&database, &service), use_service(&database, &second));
    write_beside_lock(&database, &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_migrations_are_refused_in_transaction_mode_in_one_line() {
    let database = DedicatedCluster::new().await;
    set_up_role(&database.url()).await;
    let Some(pgbouncer) = start_with_prepared_statements(&database) else { return };
    let url = pgbouncer.url(&database.url());
    assert!(run_command(&url, &["migrate"]).0, "nothing is pending");
    let empty = url.replace("/template?", "/postgres?");
    let (has_succeeded, errors) = run_command(&empty, &["migrate"]);
    assert!(!has_succeeded && errors.lines().count() == 1 && errors.contains("session of its own"), "{errors}");
    expect_refusal(&empty, "true").await;
    expect_no_migration_lock(&database).await;
}
