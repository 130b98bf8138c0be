//! A process that has no descriptors left.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Running, SECRET, free_address, request, wait_for};

#[test]
fn serve_outlives_callers_that_take_all_descriptors() {
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 48 && exec \"$0\" serve", env!("CARGO_BIN_EXE_contacts")]);
    command.env_clear().current_dir(folder.path()).stdin(Stdio::null()).stderr(Stdio::piped());
    command.env("DATABASE_URL", "postgres://x@127.0.0.1:1/x").env("JWT_SECRET", SECRET).env("BIND_ADDR", &address);
    command.env("MIGRATE_ON_START", "false");
    let mut running = command.spawn().map(Running).unwrap();
    let is_up = || request(&address, "GET /healthz", "").filter(|answer| answer.starts_with("HTTP/1.1 200")).map(drop);
    wait_for("the start", is_up);
    let mut greedy: Vec<_> = (0..60).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // Those that it could accept are served as ever.
    write!(greedy[0], "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = [0; 15];
    greedy[0].set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    greedy[0].read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    std::thread::sleep(Duration::from_millis(300));
    drop(greedy);
    wait_for("the next connection", is_up);
    running.0.kill().unwrap();
    let mut log = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("can't accept connections"), "it never ran out: {log}");
    assert!(log.lines().count() < 200, "it does not keep its head: {} lines", log.lines().count());
}
