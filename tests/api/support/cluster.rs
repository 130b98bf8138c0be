//! A durable cluster that a test can stop, crash and start again.

use contacts::config::{EmbeddedSettings, Environment};
use contacts::embedded::{Cluster, Durability};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::Server;
use super::server::make_template;

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
        let url = self.running.as_ref().unwrap().url("template");
        Server::on_database(url.expose().to_owned(), |_| {})
    }

    /// Starts it, with all that it held.
    pub async fn start(&mut self) {
        let settings = EmbeddedSettings::read(&Environment::read().unwrap());
        self.running = Some(Cluster::start(&settings, self.folder.path(), Durability::Durable).await.unwrap());
    }

    /// Stops it in order: what is under way is cut off, nothing that is committed needs to be recovered.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Stops it at once, as a crash does: it has to recover when it starts.
    pub fn crash(&mut self) {
        let file = std::fs::read_to_string(self.folder.path().join("postgres/postmaster.pid")).unwrap();
        let postmaster = Pid::from_raw(file.lines().next().unwrap().trim().parse().unwrap());
        kill(postmaster, Signal::SIGQUIT).unwrap();
        self.stop();
    }
}
