//! The service as a process, and the processor time and memory of processes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use contacts::config::Secret;

use crate::data::SECRET;

/// The default of `WRITE_BATCH_MAX`.
pub const BATCHED: usize = 256;

/// A running `contacts serve`.
pub struct ServerProcess {
    process: Child,
    pub address: SocketAddr,
}

impl ServerProcess {
    /// Starts the service of a binary and waits until it accepts connections. Its log is a file in `folder`.
    pub async fn start(binary: &Path, database: &Secret, write_batch_max: usize, folder: &Path) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = fs::File::create(folder.join(format!("serve-{}.log", address.port()))).unwrap();
        let process = Command::new(binary)
            .arg("serve")
            .env("DATABASE_URL", database.expose())
            .env("JWT_SECRET", SECRET)
            .env("BIND_ADDR", address.to_string())
            .env("WRITE_BATCH_MAX", write_batch_max.to_string())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, address }
    }

    /// Returns the processor time used so far.
    pub fn cpu(&self) -> Duration {
        cpu(self.process.id())
    }

    /// Returns the peak resident memory in MiB.
    pub fn peak_memory(&self) -> f64 {
        self.status("VmHWM:") / 1024.0
    }

    /// Returns the resident memory in MiB.
    pub fn memory(&self) -> f64 {
        self.status("VmRSS:") / 1024.0
    }

    /// Returns a number of `/proc/<pid>/status`.
    fn status(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Applies the migrations of a binary to a database.
pub fn migrate(binary: &Path, database: &Secret) {
    run_command(binary, database, |command| command.arg("migrate"));
}

/// Runs a command of a binary. Panics if it fails.
pub fn run_command(binary: &Path, database: &Secret, add_arguments: impl FnOnce(&mut Command) -> &mut Command) {
    let mut command = Command::new(binary);
    add_arguments(&mut command).env("DATABASE_URL", database.expose()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns the fields of `/proc/<pid>/stat` after the name of the command.
fn process_stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect())
}

/// Returns the processor time of a process.
fn cpu(pid: u32) -> Duration {
    const TICKS_PER_SECOND: u64 = 100;
    // The fields utime and stime.
    process_stat(pid)
        .map(|stat| Duration::from_millis((stat[11] + stat[12]) * 1_000 / TICKS_PER_SECOND))
        .unwrap_or_default()
}

/// Returns the processor time of all child processes that this process has waited for.
pub fn cpu_of_children() -> Duration {
    process_stat(std::process::id()).map(|stat| Duration::from_millis((stat[13] + stat[14]) * 10)).unwrap_or_default()
}

/// Returns the processor time of a process and of its running and exited children.
pub fn cpu_of_process_tree(parent: u32) -> Duration {
    let processes =
        fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = processes.filter(|pid| process_stat(*pid).is_some_and(|stat| stat[1] == u64::from(parent)));
    let exited = process_stat(parent).map(|stat| Duration::from_millis((stat[13] + stat[14]) * 10)).unwrap_or_default();
    cpu(parent) + exited + children.map(cpu).sum::<Duration>()
}
