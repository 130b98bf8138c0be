//! The limit of file descriptors: a service whose callers hold as many connections as possible.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{ChildGuard, SECRET, free_address, is_ready, start_database, token, wait_for};

/// Sends a request on an open connection, and returns the response.
fn exchange(stream: &mut TcpStream, head: &str, body: &str) -> String {
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n{body}",
        token()
    )
    .unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut response = [0; 4096];
    let count = stream.read(&mut response).unwrap();
    String::from_utf8_lossy(&response[..count]).into_owned()
}

#[test]
fn idle_connections_up_to_the_limit_do_not_keep_the_service_from_its_database() {
    const HARD_LIMIT: usize = 200;
    let (cluster, url) = start_database("descriptors");
    let (folder, address) = (TempDir::new().unwrap(), free_address());
    let mut command = Command::new("sh");
    let script = format!("ulimit -Sn 100 && ulimit -Hn {HARD_LIMIT} && exec \"$0\" serve");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_contacts")]);
    command.env_clear().current_dir(folder.path()).stdin(Stdio::null());
    command.stderr(fs::File::create(folder.path().join("log")).unwrap());
    command.env("DATABASE_URL", &url).env("JWT_SECRET", SECRET).env("BIND_ADDR", &address);
    let running = command.spawn().map(ChildGuard).unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.0.id())).unwrap();
    let open_files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    assert_eq!(open_files.split_whitespace().take(2).collect::<Vec<_>>(), ["200", "200"]);

    // More connections than file descriptors. The first ones are accepted, and the others wait.
    let mut connections: Vec<_> = (0..HARD_LIMIT + 20).map(|_| TcpStream::connect(&address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    for connection in connections.iter_mut().take(20) {
        let created = exchange(connection, "POST /contacts", r#"{"fields": {"first_name": "A"}}"#);
        assert!(created.starts_with("HTTP/1.1 201"), "{created}");
        let listed = exchange(connection, "GET /contacts?limit=1", "");
        assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let lowered = log.lines().find(|line| line.contains("MAX_CONNECTIONS is lowered")).unwrap();
    assert!(lowered.contains("configured=8192 effective=120 file_descriptors=200"), "{lowered}");
    assert!(!log.contains("could not accept a connection"), "{log}");
    drop(connections);
    wait_for("the next connection", || is_ready(&address).then_some(()));
    drop(running);
    drop(cluster);
}
