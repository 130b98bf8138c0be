//! Exports of large contacts: the memory of each export is bounded.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::fixture::HostileFixture;

/// The most memory that an export may take, in KiB.
const MAX_MEMORY_KIB: u64 = 100 * 1024;
/// The interval at which the memory of the processes is read.
const INTERVAL: Duration = Duration::from_millis(20);

/// Exports the contacts of all callers at once. Returns the largest memory of an export, in KiB.
pub async fn export_all(fixture: &HostileFixture) -> u64 {
    let mut exports: Vec<_> =
        fixture.callers.iter().map(|caller| start_export(fixture, &caller.account.id.to_string())).collect();
    let mut peak = 0;
    while !exports.is_empty() {
        peak = exports.iter().map(|export| peak_memory_kib(export.id())).fold(peak, u64::max);
        exports.retain_mut(|export| match export.try_wait().unwrap() {
            None => true,
            Some(status) => {
                assert!(status.success(), "an export failed: {status}");
                false
            }
        });
        tokio::time::sleep(INTERVAL).await;
    }
    assert!(peak < MAX_MEMORY_KIB, "an export takes {peak} KiB");
    peak
}

fn start_export(fixture: &HostileFixture, account: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contacts"));
    command.args(["export", "--account", account, "--format", "ndjson"]).env_clear();
    command.env("DATABASE_URL", fixture.database.url()).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// Returns the maximum of the resident memory of a process, in KiB; 0 if it has ended.
fn peak_memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(0, |line| line.trim_end_matches("kB").trim().parse().unwrap())
}
