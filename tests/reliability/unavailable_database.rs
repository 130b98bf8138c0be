//! The database is unavailable: stopped, full, read-only, out of connections, locked, or behind a failing network.
//! The service answers 503 in time, and recovers without a restart.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::database_proxy::{DatabaseProxy, NetworkState};
use crate::service_process::ServiceProcess;
use crate::support::{Account, ApiResponse, DedicatedCluster, Server, Stopwatch, run_concurrently};

/// The request timeout of the service in these tests.
const REQUEST_TIMEOUT_MS: &str = "1500";
/// The longest time that a response may take: the request timeout, and a margin for a busy machine.
const MAX_RESPONSE_TIME: Duration = Duration::from_millis(1_500 + 1_500);
/// The longest time from the recovery of the database until the service succeeds again.
const MAX_RECOVERY_TIME: Duration = Duration::from_secs(2);

/// A running service, an account, and one of its contacts.
struct ServiceFixture {
    service: ServiceProcess,
    account: Account,
    contact: String,
}

impl ServiceFixture {
    /// Starts a service on the database at this URL. `server` is an instance in the test's process on the same
    /// database.
    async fn new(url: String, server: &Server) -> Self {
        let mut service = ServiceProcess::new(url, &[("REQUEST_TIMEOUT_MS", REQUEST_TIMEOUT_MS)]);
        service.start();
        service.wait_until_ready().await;
        let account = Account::on_server(server).on_address(service.address());
        let contact = account.create(json!({"first_name": "Ada"})).await;
        Self { service, account, contact }
    }

    async fn patch(&self, value: impl Into<Value>) -> ApiResponse {
        self.account.patch(&self.contact, json!({"first_name": value.into()})).await
    }

    /// Sends reads and writes concurrently, and checks that each receives a 503 with `Retry-After` in time.
    async fn expect_unavailable(&self) {
        let writes = (0..8).map(|index| ("PATCH", Some(json!({"fields": {"last_name": index.to_string()}}))));
        let reads = (0..8).map(|_| ("GET", None));
        let calls = writes.chain(reads).map(|(method, body)| {
            let call = self.account.call(method, &format!("/contacts/{}", self.contact));
            async move {
                let started = Stopwatch::start();
                let response = match body {
                    Some(body) => call.json(&body).send().await,
                    None => call.send().await,
                };
                (response, started.elapsed())
            }
        });
        for (response, took) in run_concurrently(calls).await {
            let response = response.expect_error(503, "unavailable");
            assert!(!response.header("retry-after").is_empty());
            assert!(took < MAX_RESPONSE_TIME, "a response took {took:?}");
        }
    }

    /// Checks that `/healthz` succeeds, and waits until `/readyz` has this status. The service checks its database every
    /// 500 ms, and each check takes at most 2 s.
    async fn expect_health(&self, ready: u16) {
        self.account.anonymous("GET", "/healthz").send().await.expect(200);
        let started = Stopwatch::start();
        while self.account.anonymous("GET", "/readyz").send().await.status != ready {
            assert!(started.elapsed() < Duration::from_secs(4), "/readyz is not {ready} after {:?}", started.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until writes succeed again, at most [`MAX_RECOVERY_TIME`].
    async fn expect_recovery(&mut self) {
        let started = Stopwatch::start();
        while self.patch(format!("{started:?}")).await.status != 200 {
            assert!(started.elapsed() < MAX_RECOVERY_TIME, "still not serving after {:?}", started.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.expect_health(200).await;
        self.account.get("/contacts?limit=1").await.expect(200);
        assert!(!self.service.log().contains("panicked"), "{}", self.service.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_stopped_database_are_503_until_it_restarts() {
    let mut database = DedicatedCluster::new().await;
    let mut fixture = ServiceFixture::new(database.url(), &database.server()).await;
    for _ in 0..2 {
        database.stop();
        fixture.expect_unavailable().await;
        fixture.expect_health(503).await;
        database.start().await;
        fixture.expect_recovery().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_free_database_connection_are_503() {
    let mut database = DedicatedCluster::new().await;
    let mut fixture = ServiceFixture::new(database.url(), &database.server()).await;
    // The service has to restart, because it would keep the connections that it has.
    fixture.service.kill();
    let mut taken = vec![];
    while let Ok(connection) = PgConnection::connect(&database.url()).await {
        taken.push(connection);
    }
    fixture.service.start();
    let health = || fixture.account.anonymous("GET", "/healthz").send();
    while health().await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fixture.expect_unavailable().await;
    fixture.expect_health(503).await;
    drop(taken);
    fixture.expect_recovery().await;
    database.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_row_makes_writes_503_without_delaying_other_accounts() {
    let database = DedicatedCluster::new().await;
    let mut fixture = ServiceFixture::new(database.url(), &database.server()).await;
    let other = Account::on_server(&fixture.account.server.clone()).on_address(fixture.service.address());
    let other_contact = other.create(json!({"first_name": "Grace"})).await;
    let mut lock_holder = PgConnection::connect(&database.url()).await.unwrap();

    lock_holder.execute("BEGIN; SELECT 1 FROM contacts WHERE first_name = 'Ada' FOR UPDATE").await.unwrap();
    let response = fixture.patch("Grace").await.expect_error(503, "unavailable");
    assert!(!response.header("retry-after").is_empty());
    // Neither reads nor writes of other accounts wait for the lock.
    fixture.account.get(&format!("/contacts/{}", fixture.contact)).await.expect(200);
    fixture.expect_health(200).await;
    let started = Stopwatch::start();
    other.patch(&other_contact, json!({"last_name": "Hopper"})).await.expect(200);
    assert!(started.elapsed() < MAX_RESPONSE_TIME / 2, "a write of another account took {:?}", started.elapsed());
    lock_holder.execute("ROLLBACK").await.unwrap();
    fixture.expect_recovery().await;

    lock_holder.execute("BEGIN; LOCK TABLE contacts").await.unwrap();
    fixture.expect_unavailable().await;
    lock_holder.execute("ROLLBACK").await.unwrap();
    fixture.expect_recovery().await;
}

/// The request timeout is longer than the test, so only a disconnected client can end a statement.
#[tokio::test(flavor = "multi_thread")]
async fn disconnected_clients_leave_no_statements_waiting_for_a_lock() {
    const CONNECTIONS: i64 = 8;
    // Counts the statements that still wait for the lock.
    const COUNT: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let database = DedicatedCluster::new().await;
    let settings = [("REQUEST_TIMEOUT_MS", "60000"), ("DATABASE_MAX_CONNECTIONS", "8")];
    let mut service = ServiceProcess::new(database.url(), &settings);
    service.start();
    service.wait_until_ready().await;
    let server = database.server();
    let account = Account::on_server(&server).on_address(service.address());
    account.create(json!({"first_name": "Ada"})).await;
    let mut lock_holder = PgConnection::connect(&database.url()).await.unwrap();
    let mut watcher = PgConnection::connect(&database.url()).await.unwrap();

    lock_holder.execute("BEGIN; LOCK TABLE contacts").await.unwrap();
    for _ in 0..2 {
        let calls = (0..8).map(|_| {
            let call = account.call("GET", "/contacts?limit=1");
            async move { tokio::time::timeout(Duration::from_secs(1), call.send()).await.is_err() }
        });
        assert!(
            run_concurrently(calls).await.into_iter().all(|is_abandoned| is_abandoned),
            "a read did not wait for the lock"
        );
        // The service waits one second for a statement to end, and the database checks for lost clients twice a second.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut watcher).await.unwrap();
        assert!(
            count <= CONNECTIONS,
            "{count} statements are still running, but the pool has {CONNECTIONS} connections"
        );
    }
    lock_holder.execute("ROLLBACK").await.unwrap();
    account.get("/contacts?limit=1").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_database_serves_reads_and_makes_writes_503() {
    let mut database = DedicatedCluster::new().await;
    let mut fixture = ServiceFixture::new(database.url(), &database.server()).await;
    database.stop();
    std::fs::write(database.data_directory().join("standby.signal"), "").unwrap();
    database.start().await;
    let mut operator = PgConnection::connect(&database.url()).await.unwrap();
    let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut operator).await.unwrap();
    assert!(is_standby);

    // The restart closed every connection. The first request on each closed connection is 503.
    let started = Stopwatch::start();
    let read = async || fixture.account.get(&format!("/contacts/{}", fixture.contact)).await;
    while read().await.status == 503 {
        assert!(started.elapsed() < MAX_RECOVERY_TIME, "reads are still unavailable");
    }
    for _ in 0..3 {
        let started = Stopwatch::start();
        fixture.patch("Grace").await.expect_error(503, "unavailable");
        let inputs = json!({"inputs": [{"id": fixture.contact, "fields": {"first_name": "Grace"}}]});
        fixture.account.batch("update", inputs).await.expect_error(503, "unavailable");
        fixture.account.post("/fields", json!({"label": "x", "type": "text"})).await.expect_error(503, "unavailable");
        assert!(started.elapsed() < MAX_RESPONSE_TIME, "the 503 responses took {:?}", started.elapsed());
    }
    read().await.expect(200);
    operator.execute("SELECT pg_promote()").await.unwrap();
    fixture.expect_recovery().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_a_cut_or_silent_network_are_503_until_it_recovers() {
    let database = DedicatedCluster::new().await;
    let proxy = DatabaseProxy::start(&database.url()).await;
    let mut fixture = ServiceFixture::new(proxy.url(), &database.server()).await;

    proxy.set_state(NetworkState::Delayed(Duration::from_millis(50)));
    fixture.patch("slowly").await.expect(200);
    proxy.set_state(NetworkState::Cut);
    fixture.expect_unavailable().await;
    fixture.expect_health(503).await;
    proxy.set_state(NetworkState::Delayed(Duration::ZERO));
    fixture.expect_recovery().await;

    proxy.set_state(NetworkState::Silent);
    fixture.expect_unavailable().await;
    fixture.expect_health(503).await;
    proxy.set_state(NetworkState::Delayed(Duration::ZERO));
    fixture.expect_recovery().await;
}

/// A small file system of its own, for the database's user. Sizes are in MiB.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(owner: &DedicatedCluster, size: u32) -> Self {
        let folder = TempDir::new().unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}m"), "tmpfs"]).arg(folder.path()));
        let data = std::fs::metadata(owner.data_directory()).unwrap();
        std::os::unix::fs::chown(folder.path(), Some(data.uid()), Some(data.gid())).unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        Self(folder)
    }

    fn grow(&self, size: u32) {
        run(Command::new("mount").args(["-o", &format!("remount,size={size}m")]).arg(self.0.path()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(self.0.path()));
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a small disk, so it needs root; .ci/run runs it"]
async fn full_disk_makes_writes_503_and_keeps_reads() {
    let database = DedicatedCluster::new().await;
    let disk = SmallDisk::new(&database, 4);
    let mut fixture = ServiceFixture::new(database.url(), &database.server()).await;
    let mut operator = PgConnection::connect(&database.url()).await.unwrap();
    let location = format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.path().display());
    operator.execute(sqlx::AssertSqlSafe(location)).await.unwrap();
    operator
        .execute("ALTER TABLE contacts SET TABLESPACE small; ALTER TABLE changes SET TABLESPACE small")
        .await
        .unwrap();

    let large = "x".repeat(255);
    let account = fixture.account.clone();
    let create = || async {
        let input = json!({"fields": {"first_name": large, "last_name": large, "job_title": large}});
        let inputs = vec![input; 1_000];
        account.batch("create", json!({"inputs": inputs, "atomic": true})).await
    };
    let mut created = 1;
    let rejected = loop {
        let response = create().await;
        if response.status != 200 {
            break response;
        }
        created += 1_000;
        assert!(created < 50_000, "the disk is not full yet");
    };
    rejected.expect_error(503, "unavailable");
    // Stored contacts can be read, and the rejected batch has written nothing.
    let list = fixture.account.get("/contacts?limit=1").await.expect(200);
    assert_eq!(list.body["pagination"]["count"], created);
    fixture.expect_health(200).await;
    disk.grow(64);
    fixture.expect_recovery().await;
    assert_eq!(create().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_long_poll_outlasts_a_restart_of_the_database_and_hears_of_another_instance() {
    let mut cluster = DedicatedCluster::new().await;
    let (server, other) = (cluster.server(), cluster.server());
    let account = Account::on_server(&server);
    account.create(json!({"first_name": "A"})).await;
    let waiting = {
        let account = account.clone();
        tokio::spawn(async move { account.get("/contacts/changes?after=now&wait=30").await })
    };
    while server.app.repository().subscribed_account_count() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.stop();
    // Two queries for changes of other instances fail.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert!(!waiting.is_finished());
    cluster.start().await;
    let writer = account.on_instance(&other);
    while writer.post("/contacts", json!({"fields": {"first_name": "B"}})).await.status != 201 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let written = Stopwatch::start();
    let page = waiting.await.unwrap().expect(200).body;
    assert_eq!(page["data"][0]["changed"]["first_name"]["new"], "B");
    assert!(written.elapsed() < MAX_RECOVERY_TIME, "took {:?}", written.elapsed());
}
