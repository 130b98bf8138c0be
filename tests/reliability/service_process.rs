//! The service as a process that a test can kill and start again.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::SECRET;

/// The longest time from the start of the process until it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// `contacts serve`. Its address stays the same across restarts.
pub struct ServiceProcess {
    address: SocketAddr,
    database: String,
    folder: TempDir,
    settings: Vec<(&'static str, &'static str)>,
    running: Option<Child>,
}

impl ServiceProcess {
    /// Returns a process that is not running yet, with additional settings.
    pub fn new(database: String, settings: &[(&'static str, &'static str)]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { address, database, folder: TempDir::new().unwrap(), settings: settings.to_vec(), running: None }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the resident memory in KiB.
    pub fn memory_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// Returns the maximum of the resident memory since the start or since the last [`Self::reset_peak_memory`], in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// Sets the maximum of the resident memory to the current value.
    pub fn reset_peak_memory(&self) {
        std::fs::write(self.proc_path("clear_refs"), "5").unwrap();
    }

    /// Checks that the process is still running.
    pub fn expect_running(&mut self) {
        let exit = self.running.as_mut().unwrap().try_wait().unwrap();
        assert!(exit.is_none(), "the process exited: {exit:?}, {}", self.log());
    }

    /// Whether the process has ended.
    pub fn has_exited(&mut self) -> bool {
        self.running.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Returns an entry of the status of the process, in KiB.
    fn status_kib(&self, entry: &str) -> u64 {
        let status = std::fs::read_to_string(self.proc_path("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(entry)).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    }

    /// Returns the number of open files, including sockets.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(self.proc_path("fd")).unwrap().count()
    }

    /// Returns the path of a file of the process in `/proc`.
    fn proc_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.running.as_ref().unwrap().id()))
    }

    /// Starts the process unless it is running.
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

    /// Stops the process with SIGSTOP: it does nothing until [`Self::resume`], and its connections stay open.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets the process go on after [`Self::pause`].
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.running.as_ref().unwrap().id();
        nix::sys::signal::kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    /// Kills the process with SIGKILL, so it finishes no work and closes no connection properly.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until `/readyz` succeeds.
    pub async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        let client = reqwest::Client::builder().tls_certs_only([]).timeout(Duration::from_secs(2)).build().unwrap();
        let url = format!("http://{}/readyz", self.address);
        while !client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
            assert!(started.elapsed() < READY_TIMEOUT, "not ready: {}", self.log());
            let exit = self.running.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(exit.is_none(), "the process exited: {exit:?}, {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns the log of all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
