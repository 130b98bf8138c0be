//! The service as a process, and what processes use up.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::data::SECRET;

pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

impl Server {
    pub async fn start(database: &str, write_batch_max: usize, folder: &Path) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = fs::File::create(folder.join(format!("serve-{write_batch_max}.log"))).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_contacts"))
            .arg("serve")
            .env("DATABASE_URL", database)
            .env("JWT_SECRET", SECRET)
            .env("BIND_ADDR", address.to_string())
            .env("WRITE_BATCH_MAX", write_batch_max.to_string())
            // As in the image.
            .env("MIMALLOC_PURGE_DELAY", "0")
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

    /// The processor time used so far.
    pub fn cpu(&self) -> Duration {
        cpu(self.process.id())
    }

    /// The most memory it ever had, in MiB.
    pub fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The fields of `/proc/<pid>/stat` after the command's name.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect())
}

fn cpu(pid: u32) -> Duration {
    const TICKS_PER_SECOND: u64 = 100;
    // utime and stime
    stat(pid).map(|stat| Duration::from_millis((stat[11] + stat[12]) * 1_000 / TICKS_PER_SECOND)).unwrap_or_default()
}

/// The processor time of the processes that this one has started and waited for.
pub fn cpu_of_children() -> Duration {
    stat(std::process::id()).map(|stat| Duration::from_millis((stat[13] + stat[14]) * 10)).unwrap_or_default()
}

/// The processor time of a process, its children, and those of its children that are gone.
pub fn cpu_of_family(parent: u32) -> Duration {
    let processes =
        fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = processes.filter(|pid| stat(*pid).is_some_and(|stat| stat[1] == u64::from(parent)));
    let gone = stat(parent).map(|stat| Duration::from_millis((stat[13] + stat[14]) * 10)).unwrap_or_default();
    cpu(parent) + gone + children.map(cpu).sum::<Duration>()
}
