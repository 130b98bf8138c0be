//! A durable cluster that a test can stop, crash and start again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use contacts::config::{EmbeddedSettings, Environment};
use contacts::embedded::{Cluster, Durability};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use super::Server;
use super::server::make_template;

/// How long one that was killed may take to make way.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster in a folder of its own. What is committed is there again after a crash.
pub struct OwnCluster {
    // Dropped first: it has to be stopped before its folder goes.
    running: Option<Cluster>,
    folder: TempDir,
}

impl OwnCluster {
    /// A running one, with a migrated database.
    pub async fn new() -> Self {
        let mut cluster = Self { running: None, folder: TempDir::new().unwrap() };
        cluster.start().await;
        make_template(cluster.running.as_ref().unwrap()).await;
        cluster
    }

    /// A service on its database.
    pub fn server(&self) -> Server {
        Server::on_database(self.url(), |_| {})
    }

    /// The folder of its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("postgres")
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        self.running.as_ref().unwrap().url("template").expose().to_owned()
    }

    /// Changes a setting that holds without a restart, as in `fsync = off`.
    pub async fn set(&self, setting: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        connection.execute(AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"))).await.unwrap();
        connection.execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// Starts it, with all that it held. What is left of a killed one has to end first.
    pub async fn start(&mut self) {
        let settings = EmbeddedSettings::read(&Environment::read().unwrap());
        let started = Instant::now();
        while self.running.is_none() {
            match Cluster::start(&settings, self.folder.path(), Durability::Durable).await {
                Ok(cluster) => self.running = Some(cluster),
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
            }
        }
    }

    /// Stops it in order: what is under way is cut off, nothing that is committed needs to be recovered.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Stops it at once, as a crash does: it has to recover when it starts.
    pub fn crash(&mut self) {
        self.signal(Signal::SIGQUIT);
    }

    /// Kills its first process: the others find out for themselves, and it has to recover when it starts.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&mut self, signal: Signal) {
        let postmaster = self.running.as_ref().and_then(Cluster::pid).unwrap();
        kill(Pid::from_raw(postmaster.try_into().unwrap()), signal).unwrap();
        self.stop();
    }
}
