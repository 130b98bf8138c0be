//! The service as a process, which can be killed.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::SECRET;

/// How long it may take to be ready, whatever has happened to it.
const PATIENCE: Duration = Duration::from_secs(30);

/// `contacts serve` at an address that stays the same however often it is started.
pub struct Process {
    address: SocketAddr,
    database: String,
    folder: TempDir,
    settings: Vec<(&'static str, &'static str)>,
    running: Option<Child>,
}

impl Process {
    /// A process that is not running yet, with settings besides those that it needs.
    pub fn new(database: String, settings: &[(&'static str, &'static str)]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { address, database, folder: TempDir::new().unwrap(), settings: settings.to_vec(), running: None }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What of it is in memory, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(self.kept_by_kernel("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    }

    /// How many files, sockets included, it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(self.kept_by_kernel("fd")).unwrap().count()
    }

    fn kept_by_kernel(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.running.as_ref().unwrap().id()))
    }

    /// Starts it, unless it is running.
    pub fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_contacts"));
        command.arg("serve").env_clear().current_dir(self.folder.path()).stdin(Stdio::null()).stderr(log);
        command.env("DATABASE_URL", &self.database).env("JWT_SECRET", SECRET);
        command.env("BIND_ADDR", self.address.to_string()).env("RUST_LOG", "warn").envs(self.settings.clone());
        self.running = Some(command.spawn().unwrap());
    }

    /// Ends it with SIGKILL: nothing is finished, nothing is said.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) {
        let started = Instant::now();
        let client = reqwest::Client::builder().tls_certs_only([]).timeout(Duration::from_secs(2)).build().unwrap();
        let url = format!("http://{}/readyz", self.address);
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(started.elapsed() < PATIENCE, "not ready: {}", self.log());
            let ended = self.running.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "ended by itself: {ended:?}, {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it has logged, in all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
