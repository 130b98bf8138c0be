//! The database can't serve: it is away, full, read-only, out of connections, held up by someone else, or behind a bad
//! network. The service says so in time, and goes on by itself once the database can serve again.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::process::Process;
use crate::proxy::{Network, Proxy};
use crate::support::{Account, Answer, OwnCluster, Server, Stopwatch, at_once};

/// The time limit of requests in these tests.
const TIMEOUT: &str = "1500";
/// What an answer may take: the limit, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_millis(1_500 + 1_500);
/// How soon the service goes on once the database can serve again.
const RECOVERY: Duration = Duration::from_secs(2);

/// A service as a process, an account on it, and a contact of that.
struct Stage {
    service: Process,
    account: Account,
    contact: String,
}

impl Stage {
    /// A service that reaches its database by this URL; `server` is another one, in this process.
    async fn new(url: String, server: &Server) -> Self {
        let mut service = Process::new(url, &[("REQUEST_TIMEOUT_MS", TIMEOUT)]);
        service.start();
        service.ready().await;
        let account = Account::on(server).at_address(service.address());
        let contact = account.create(json!({"first_name": "Ada"})).await;
        Self { service, account, contact }
    }

    async fn patch(&self, value: impl Into<Value>) -> Answer {
        self.account.patch(&self.contact, json!({"first_name": value.into()})).await
    }

    /// Sends calls of many kinds at once. Each is answered in time, and none in another way than the contract's.
    async fn expect_unavailable(&self) {
        let writes = (0..8).map(|index| ("PATCH", Some(json!({"fields": {"last_name": index.to_string()}}))));
        let reads = (0..8).map(|_| ("GET", None));
        let calls = writes.chain(reads).map(|(method, body)| {
            let call = self.account.call(method, &format!("/contacts/{}", self.contact));
            async move {
                let started = Stopwatch::start();
                let answer = match body {
                    Some(body) => call.json(&body).send().await,
                    None => call.send().await,
                };
                (answer, started.elapsed())
            }
        });
        for (answer, took) in at_once(calls).await {
            let answer = answer.expect_error(503, "unavailable");
            assert!(!answer.header("retry-after").is_empty());
            assert!(took < PATIENCE, "an answer took {took:?}");
        }
    }

    /// What is said to those who run the service.
    async fn expect_health(&self, ready: u16) {
        self.account.anonymous("GET", "/healthz").send().await.expect(200);
        self.account.anonymous("GET", "/readyz").send().await.expect(ready);
    }

    /// Waits until writes are done again; that must not take long.
    async fn expect_recovery(&mut self) {
        let started = Stopwatch::start();
        while self.patch(format!("{started:?}")).await.status != 200 {
            assert!(started.elapsed() < RECOVERY, "still not serving after {:?}", started.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.expect_health(200).await;
        self.account.get("/contacts?limit=1").await.expect(200);
        assert!(!self.service.log().contains("panicked"), "{}", self.service.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_stopped() {
    let mut database = OwnCluster::new().await;
    let mut stage = Stage::new(database.url(), &database.server()).await;
    for _ in 0..2 {
        database.stop();
        stage.expect_unavailable().await;
        stage.expect_health(503).await;
        database.start().await;
        stage.expect_recovery().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_is_taken() {
    let mut database = OwnCluster::new().await;
    let mut stage = Stage::new(database.url(), &database.server()).await;
    // The service has to start anew: connections that it has are its own.
    stage.service.kill();
    let mut taken = vec![];
    while let Ok(connection) = PgConnection::connect(&database.url()).await {
        taken.push(connection);
    }
    stage.service.start();
    let health = || stage.account.anonymous("GET", "/healthz").send();
    while health().await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.expect_unavailable().await;
    stage.expect_health(503).await;
    drop(taken);
    stage.expect_recovery().await;
    database.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_holds_a_lock() {
    let database = OwnCluster::new().await;
    let mut stage = Stage::new(database.url(), &database.server()).await;
    let other = Account::on(&stage.account.server.clone()).at_address(stage.service.address());
    let neighbour = other.create(json!({"first_name": "Grace"})).await;
    let mut holder = PgConnection::connect(&database.url()).await.unwrap();

    holder.execute("BEGIN; SELECT 1 FROM contacts WHERE first_name = 'Ada' FOR UPDATE").await.unwrap();
    let answer = stage.patch("Grace").await.expect_error(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty());
    // Reads wait for no one, nor do writers of other accounts.
    stage.account.get(&format!("/contacts/{}", stage.contact)).await.expect(200);
    stage.expect_health(200).await;
    let started = Stopwatch::start();
    other.patch(&neighbour, json!({"last_name": "Hopper"})).await.expect(200);
    assert!(started.elapsed() < PATIENCE / 2, "a neighbour waited for {:?}", started.elapsed());
    holder.execute("ROLLBACK").await.unwrap();
    stage.expect_recovery().await;

    holder.execute("BEGIN; LOCK TABLE contacts").await.unwrap();
    stage.expect_unavailable().await;
    holder.execute("ROLLBACK").await.unwrap();
    stage.expect_recovery().await;
}

/// Who gives up waiting leaves nothing behind in the database, however long its statements may take.
#[tokio::test(flavor = "multi_thread")]
async fn callers_leave_while_a_lock_is_held() {
    const CONNECTIONS: i64 = 8;
    // Statements that still wait for the lock.
    const COUNT: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let database = OwnCluster::new().await;
    let settings = [("REQUEST_TIMEOUT_MS", "60000"), ("DATABASE_MAX_CONNECTIONS", "8")];
    let mut service = Process::new(database.url(), &settings);
    service.start();
    service.ready().await;
    let server = database.server();
    let account = Account::on(&server).at_address(service.address());
    account.create(json!({"first_name": "Ada"})).await;
    let mut holder = PgConnection::connect(&database.url()).await.unwrap();
    let mut watcher = PgConnection::connect(&database.url()).await.unwrap();

    holder.execute("BEGIN; LOCK TABLE contacts").await.unwrap();
    for _ in 0..2 {
        let calls = (0..8).map(|_| {
            let call = account.call("GET", "/contacts?limit=1");
            async move { tokio::time::timeout(Duration::from_secs(1), call.send()).await.is_err() }
        });
        assert!(at_once(calls).await.into_iter().all(|has_left| has_left), "a read did not wait for the lock");
        // A connection is given a second to come to rest, and the database half of one to notice.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut watcher).await.unwrap();
        assert!(count <= CONNECTIONS, "{count} statements go on, of a pool of {CONNECTIONS} connections");
    }
    holder.execute("ROLLBACK").await.unwrap();
    account.get("/contacts?limit=1").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_a_standby() {
    let mut database = OwnCluster::new().await;
    let mut stage = Stage::new(database.url(), &database.server()).await;
    database.stop();
    std::fs::write(database.data().join("standby.signal"), "").unwrap();
    database.start().await;
    let mut operator = PgConnection::connect(&database.url()).await.unwrap();
    let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut operator).await.unwrap();
    assert!(is_standby);

    // Each connection is gone, and who first uses one says so.
    let started = Stopwatch::start();
    let read = async || stage.account.get(&format!("/contacts/{}", stage.contact)).await;
    while read().await.status == 503 {
        assert!(started.elapsed() < RECOVERY, "reads are still unavailable");
    }
    for _ in 0..3 {
        let started = Stopwatch::start();
        stage.patch("Grace").await.expect_error(503, "unavailable");
        let inputs = json!({"inputs": [{"id": stage.contact, "fields": {"first_name": "Grace"}}]});
        stage.account.batch("update", inputs).await.expect_error(503, "unavailable");
        stage.account.post("/fields", json!({"label": "x", "type": "text"})).await.expect_error(503, "unavailable");
        assert!(started.elapsed() < PATIENCE, "refusals took {:?}", started.elapsed());
    }
    read().await.expect(200);
    operator.execute("SELECT pg_promote()").await.unwrap();
    stage.expect_recovery().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_bad() {
    let database = OwnCluster::new().await;
    let proxy = Proxy::to(&database.url()).await;
    let mut stage = Stage::new(proxy.url(), &database.server()).await;

    proxy.set(Network::Delayed(Duration::from_millis(50)));
    stage.patch("slowly").await.expect(200);
    proxy.set(Network::Cut);
    stage.expect_unavailable().await;
    stage.expect_health(503).await;
    proxy.set(Network::Delayed(Duration::ZERO));
    stage.expect_recovery().await;

    proxy.set(Network::Silent);
    stage.expect_unavailable().await;
    stage.expect_health(503).await;
    proxy.set(Network::Delayed(Duration::ZERO));
    stage.expect_recovery().await;
}

/// A folder on a disk of its own, of this many MiB, for the database's user.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(owner: &OwnCluster, size: u32) -> Self {
        let folder = TempDir::new().unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}m"), "tmpfs"]).arg(folder.path()));
        let data = std::fs::metadata(owner.data()).unwrap();
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
async fn the_disk_is_full() {
    let database = OwnCluster::new().await;
    let disk = SmallDisk::new(&database, 4);
    let mut stage = Stage::new(database.url(), &database.server()).await;
    let mut operator = PgConnection::connect(&database.url()).await.unwrap();
    let location = format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.path().display());
    operator.execute(sqlx::AssertSqlSafe(location)).await.unwrap();
    operator
        .execute("ALTER TABLE contacts SET TABLESPACE small; ALTER TABLE changes SET TABLESPACE small")
        .await
        .unwrap();

    let large = "x".repeat(255);
    let account = stage.account.clone();
    let create = || async {
        let input = json!({"fields": {"first_name": large, "last_name": large, "job_title": large}});
        let inputs = vec![input; 1_000];
        account.batch("create", json!({"inputs": inputs, "atomic": true})).await
    };
    let mut created = 1;
    let refused = loop {
        let answer = create().await;
        if answer.status != 200 {
            break answer;
        }
        created += 1_000;
        assert!(created < 50_000, "the disk does not fill");
    };
    refused.expect_error(503, "unavailable");
    // What there is can be read, and nothing of what was refused is there.
    let list = stage.account.get("/contacts?limit=1").await.expect(200);
    assert_eq!(list.body["pagination"]["count"], created);
    stage.expect_health(200).await;
    disk.grow(64);
    stage.expect_recovery().await;
    assert_eq!(create().await.status, 200);
}
