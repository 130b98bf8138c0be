//! A filled database, and the measurements that run on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use contacts::config::{DatabaseSettings, EmbeddedSettings, Environment, Secret};
use contacts::embedded::{Cluster, Durability};
use contacts::repository::Repository;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::client::{self, Workload};
use crate::data::{self, DataSize};
use crate::pgbench;
use crate::report::Measurement;
use crate::server::{ServerProcess, cpu_of_process_tree};

/// A running PostgreSQL with the benchmark data. It is stopped and deleted when this value is dropped.
pub struct BenchDatabase {
    // `None` only while the cluster restarts or stops. It must stop before its folder is deleted.
    cluster: Option<Cluster>,
    folder: PathBuf,
    size: DataSize,
}

impl BenchDatabase {
    /// Starts a PostgreSQL with durable settings and fills a database.
    pub async fn start(size: DataSize) -> Self {
        let folder = std::env::temp_dir().join(format!("contacts-bench-{}-{}", std::process::id(), size.rows));
        let settings = EmbeddedSettings::read(&Environment::read().unwrap());
        let cluster = Cluster::start(&settings, &folder, Durability::Durable).await.unwrap();
        let mut database = Self { cluster: Some(cluster), folder, size };
        let tuning = [
            "shared_buffers = '2GB'",
            "max_wal_size = '8GB'",
            "wal_compression = 'lz4'",
            "checkpoint_timeout = '15min'",
        ];
        database.execute("postgres", tuning.map(|setting| format!("ALTER SYSTEM SET {setting}"))).await;
        drop(database.cluster.take());
        let cluster = Cluster::start(&settings, &database.folder, Durability::Durable).await.unwrap();
        cluster.create_database("contacts", None).await.unwrap();
        database.cluster = Some(cluster);
        eprintln!("filling {} contacts in {} accounts", size.rows, size.accounts);
        let repository_settings = DatabaseSettings {
            url: database.url(),
            max_connections: 2,
            write_batch_max: 1,
            migrate_on_start: true,
            change_retention: contacts::config::DEFAULT_CHANGE_RETENTION,
            timeout: Duration::from_secs(10),
        };
        Repository::new(&repository_settings).unwrap().migrate().await.unwrap();
        database.execute("contacts", data::fill_statements(size)).await;
        database
    }

    fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> Secret {
        self.cluster().url("contacts")
    }

    /// Returns a folder for files. It is deleted together with the database.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the process id of PostgreSQL.
    pub fn pid(&self) -> u32 {
        self.cluster().pid().unwrap()
    }

    async fn execute(&self, database: &str, statements: impl IntoIterator<Item = String>) {
        let mut connection = PgConnection::connect(self.cluster().url(database).expose()).await.unwrap();
        for statement in statements {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
    }

    /// Starts the service with batches of at most this many updates.
    pub async fn start_server(&self, write_batch_max: usize) -> ServerProcess {
        ServerProcess::start(self.url().expose(), write_batch_max, &self.folder).await
    }

    /// Measures requests to the service over this many connections.
    pub async fn measure_requests(
        &self,
        server: &ServerProcess,
        workload: Workload,
        connections: usize,
        time: Duration,
    ) -> Measurement {
        let (before, database_before) = (server.cpu(), self.cpu());
        let mut measurement = client::run_load(server.address, workload, connections, time, self.size).await;
        let answered = measurement.rate * time.as_secs_f64();
        measurement.server_cpu = Some(server.cpu().saturating_sub(before).as_secs_f64() * 1e6 / answered);
        measurement.database_cpu = Some(self.cpu().saturating_sub(database_before).as_secs_f64() * 1e6 / answered);
        measurement.memory = Some(server.peak_memory());
        measurement
    }

    /// Measures a script of pgbench with this many clients.
    pub async fn measure_pgbench(&self, script: &str, clients: usize, time: Duration) -> Measurement {
        let before = self.cpu();
        let mut measurement = pgbench::run(self.cluster(), script, clients, time, self.size, &self.folder);
        measurement.database_cpu =
            Some(self.cpu().saturating_sub(before).as_secs_f64() * 1e6 / (measurement.rate * time.as_secs_f64()));
        measurement
    }

    /// Returns the processor time of PostgreSQL so far.
    fn cpu(&self) -> Duration {
        cpu_of_process_tree(self.pid())
    }
}

impl Drop for BenchDatabase {
    fn drop(&mut self) {
        drop(self.cluster.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
