//! A service that runs out of file descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{ChildGuard, SECRET, free_address, send_request, wait_for};

#[test]
fn serve_survives_clients_that_exhaust_its_file_descriptors() {
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 48 && exec \"$0\" serve", env!("CARGO_BIN_EXE_contacts")]);
    command.env_clear().current_dir(folder.path()).stdin(Stdio::null()).stderr(Stdio::piped());
    command.env("DATABASE_URL", "postgres://x@127.0.0.1:1/x").env("JWT_SECRET", SECRET).env("BIND_ADDR", &address);
    command.env("MIGRATE_ON_START", "false");
    let mut running = command.spawn().map(ChildGuard).unwrap();
    let is_up =
        || send_request(&address, "GET /healthz", "").filter(|response| response.starts_with("HTTP/1.1 200")).map(drop);
    wait_for("the start", is_up);
    let mut connections: Vec<_> = (0..60).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // Accepted connections are still served.
    write!(connections[0], "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut response = [0; 15];
    connections[0].set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    connections[0].read_exact(&mut response).unwrap();
    assert_eq!(&response, b"HTTP/1.1 200 OK");
    std::thread::sleep(Duration::from_millis(300));
    drop(connections);
    wait_for("the next connection", is_up);
    running.0.kill().unwrap();
    let mut log = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("could not accept a connection"), "the service never ran out of descriptors: {log}");
    assert!(log.lines().count() < 200, "accept errors fill the log: {} lines", log.lines().count());
}
