//! The service behind PgBouncer: in session mode it works, and in transaction mode it refuses to start.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::database_proxy::DatabaseProxy;
use crate::service_process::ServiceProcess;
use crate::support::{Account, DedicatedCluster, Stopwatch, run_concurrently};

/// A PgBouncer in front of a database. It is stopped when it is dropped.
struct PgBouncer {
    process: Child,
    url: String,
    _folder: TempDir,
    _proxy: DatabaseProxy,
}

impl PgBouncer {
    /// Starts PgBouncer in this mode. Returns `None` if it is not installed.
    async fn start(database: &DedicatedCluster, mode: &str) -> Option<Self> {
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| std::path::Path::new(path).exists());
        let Some(program) = program else {
            eprintln!("SKIPPED: PgBouncer is not installed (apt-get install pgbouncer)");
            return None;
        };
        let proxy = DatabaseProxy::start(&database.url()).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = TempDir::new().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=contacts\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = 60\nmax_client_conn = 100\n",
            proxy.address().port()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        // It does not run as root.
        if nix::unistd::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let process = command.arg("-q").arg(&config).stdin(Stdio::null()).spawn().unwrap();
        let url = format!("postgres://contacts@127.0.0.1:{port}/template?sslmode=disable");
        Some(Self { process, url, _folder: folder, _proxy: proxy })
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_works_behind_pgbouncer_in_session_mode() {
    let database = DedicatedCluster::new().await;
    let Some(pgbouncer) = PgBouncer::start(&database, "session").await else { return };
    let mut service = ServiceProcess::new(pgbouncer.url.clone(), &[]);
    service.start();
    service.wait_until_ready().await;
    let account = Account::on_server(&database.server()).on_address(service.address());
    account.define(json!({"label": "Size", "type": "number"})).await;
    let ids = run_concurrently((0..32).map(|number| {
        let account = account.clone();
        async move { account.create(json!({"first_name": format!("Ada {number}"), "size": number})).await }
    }))
    .await;
    let calls = (0..400).map(|number: usize| {
        let (account, id) = (account.clone(), ids[number % ids.len()].clone());
        async move {
            match number % 5 {
                0 => account.get(&format!("/contacts/{id}?properties=size")).await,
                1 => account.patch(&id, json!({"size": number})).await,
                2 => account.get("/contacts?limit=5").await,
                3 => account.get("/contacts/changes?limit=5").await,
                _ => {
                    let filter = json!({"property": "size", "operator": "gte", "value": 0});
                    account.post("/contacts/search", json!({"filters": [filter], "query": "ada"})).await
                }
            }
            .expect(200)
        }
    });
    run_concurrently(calls).await;
    let inputs: Vec<_> = ids.iter().map(|id| json!({"id": id, "fields": {"last_name": "L"}})).collect();
    account.batch("update", json!({"inputs": inputs, "atomic": true})).await.expect(200);
    account.call("PATCH", "/fields/size").json(&json!({"label": "Shoe size"})).send().await.expect(200);
    assert_eq!(account.anonymous("GET", "/readyz").send().await.expect(200).body["writable"], true);
    assert!(!service.log().contains("ERROR"), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn service_refuses_pgbouncer_in_transaction_mode_in_one_line() {
    let database = DedicatedCluster::new().await;
    let Some(pgbouncer) = PgBouncer::start(&database, "transaction").await else { return };
    for migrate_on_start in ["true", "false"] {
        let mut service = ServiceProcess::new(pgbouncer.url.clone(), &[("MIGRATE_ON_START", migrate_on_start)]);
        service.start();
        let started = Stopwatch::start();
        while !service.has_exited() {
            assert!(started.elapsed() < Duration::from_secs(10), "{}", service.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let errors = service.log().lines().filter(|line| line.contains("transaction mode")).count();
        assert_eq!(errors, 1, "{}", service.log());
    }
    // No lock of a migration is left.
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    let mut operator = <sqlx::PgConnection as sqlx::Connection>::connect(&database.url()).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(locks).fetch_one(&mut operator).await.unwrap(), 0);
}
