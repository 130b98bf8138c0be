//! A durable PostgreSQL cluster that a test can stop, crash and start again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use contacts::config::{EmbeddedSettings, Environment};
use contacts::embedded::{Cluster, Durability};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use super::Server;
use super::test_server::create_template_database;

/// How long a start may be retried while the processes of a killed cluster still exit.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A cluster in its own folder. Committed data survives a crash.
pub struct DedicatedCluster {
    // Declared first, so that it is dropped first: the cluster has to stop before its folder is removed.
    running: Option<Cluster>,
    folder: TempDir,
}

impl DedicatedCluster {
    /// Starts a cluster with a migrated database.
    pub async fn new() -> Self {
        let mut cluster = Self { running: None, folder: TempDir::new().unwrap() };
        cluster.start().await;
        create_template_database(cluster.running.as_ref().unwrap()).await;
        cluster
    }

    /// Starts a service that uses the database of the cluster.
    pub fn server(&self) -> Server {
        Server::with_database_url(self.url(), |_| {})
    }

    /// Returns the data directory of the cluster.
    pub fn data_directory(&self) -> PathBuf {
        self.folder.path().join("postgres")
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> String {
        self.running.as_ref().unwrap().url("template").expose().to_owned()
    }

    /// Changes a setting that takes effect without a restart, for example `fsync = off`.
    pub async fn alter_system(&self, setting: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        connection.execute(AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"))).await.unwrap();
        connection.execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// Starts the cluster on its existing data. Retries while the processes of a killed cluster still exit.
    pub async fn start(&mut self) {
        let settings = EmbeddedSettings::read(&Environment::read().unwrap());
        let started = Instant::now();
        while self.running.is_none() {
            match Cluster::start(&settings, self.folder.path(), Durability::Durable).await {
                Ok(cluster) => self.running = Some(cluster),
                Err(error) => assert!(started.elapsed() < START_TIMEOUT, "{error}"),
            }
        }
    }

    /// Shuts the cluster down cleanly: running transactions are aborted, and the next start needs no recovery.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Stops the cluster immediately, as in a crash: the next start runs crash recovery.
    pub fn crash(&mut self) {
        self.signal(Signal::SIGQUIT);
    }

    /// Kills the postmaster only. The other processes notice and exit, and the next start runs crash recovery.
    pub fn kill_postmaster(&mut self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&mut self, signal: Signal) {
        let postmaster = self.running.as_ref().and_then(Cluster::pid).unwrap();
        kill(Pid::from_raw(postmaster.try_into().unwrap()), signal).unwrap();
        self.stop();
    }
}
