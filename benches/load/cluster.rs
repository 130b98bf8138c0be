//! The PostgreSQL of a benchmark run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use contacts::config::{EmbeddedSettings, Environment, Secret};
use contacts::embedded::{Cluster, Durability};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::server::cpu_of_process_tree;

/// A running PostgreSQL with durable settings. It is stopped and deleted when this value is dropped.
pub struct BenchCluster {
    // `None` only while the cluster restarts or stops. It must stop before its folder is deleted.
    cluster: Option<Cluster>,
    folder: PathBuf,
}

impl BenchCluster {
    /// Starts a new PostgreSQL.
    pub async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("contacts-bench-{}", std::process::id()));
        let settings = EmbeddedSettings::read(&Environment::read().unwrap());
        let cluster = Cluster::start(&settings, &folder, Durability::Durable).await.unwrap();
        let mut bench_cluster = Self { cluster: Some(cluster), folder };
        let tuning = [
            "shared_buffers = '2GB'",
            "max_wal_size = '8GB'",
            "wal_compression = 'lz4'",
            "checkpoint_timeout = '15min'",
        ];
        bench_cluster.execute("postgres", tuning.map(|setting| format!("ALTER SYSTEM SET {setting}"))).await;
        drop(bench_cluster.cluster.take());
        let cluster = Cluster::start(&settings, &bench_cluster.folder, Durability::Durable).await.unwrap();
        bench_cluster.cluster = Some(cluster);
        bench_cluster
    }

    fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    /// Returns the URL of a database.
    pub fn url(&self, database: &str) -> Secret {
        self.cluster().url(database)
    }

    /// Returns a folder for files. It is deleted together with the cluster.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of another program of the same PostgreSQL, such as `pgbench`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.cluster().program(name)
    }

    /// Returns the processor time of PostgreSQL so far.
    pub fn cpu(&self) -> Duration {
        cpu_of_process_tree(self.cluster().pid().unwrap())
    }

    /// Creates an empty database.
    pub async fn create_database(&self, name: &str) {
        self.cluster().create_database(name, None).await.unwrap();
    }

    /// Deletes a database that has no connections left, or only connections that are ending.
    pub async fn drop_database(&self, name: &str) {
        self.execute("postgres", [format!("DROP DATABASE \"{name}\" WITH (FORCE)")]).await;
    }

    /// Runs SQL statements one after another.
    pub async fn execute(&self, database: &str, statements: impl IntoIterator<Item = String>) {
        let mut connection = PgConnection::connect(self.url(database).expose()).await.unwrap();
        for statement in statements {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    /// Turns autovacuum on in all databases.
    pub async fn start_autovacuum(&self) {
        self.set_autovacuum("on").await;
    }

    /// Turns autovacuum off in all databases. Returns when the running ones have ended.
    pub async fn stop_autovacuum(&self) {
        self.set_autovacuum("off").await;
        let mut connection = PgConnection::connect(self.url("postgres").expose()).await.unwrap();
        let workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'";
        while sqlx::query_scalar::<_, i64>(workers).fetch_one(&mut connection).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        connection.close().await.unwrap();
    }

    async fn set_autovacuum(&self, value: &str) {
        let statements = [format!("ALTER SYSTEM SET autovacuum = {value}"), "SELECT pg_reload_conf()".to_owned()];
        self.execute("postgres", statements).await;
    }
}

impl Drop for BenchCluster {
    fn drop(&mut self) {
        drop(self.cluster.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
