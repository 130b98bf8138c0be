//! Bytes that no client sends by accident. To each request there is one answer, never a 5xx, always in the one shape;
//! the connection then goes on in step or ends; and the next caller notices nothing.

mod framing;
mod heads;
mod http2;
mod manners;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Account, Server};

/// How long anything may take here. No deadline of the service is that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is sent behind everything: who is still in step answers it last.
const PROBE: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nx-request-id: probe\r\nconnection: close\r\n\r\n";

/// A request that must be answered only where it is one, and not what another one holds.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n";

/// All that comes back for these bytes, to the end of the connection.
fn all_for(server: &Server, sent: &[u8], shut: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Who is refused early may find the line cut.
    let _ = stream.write_all(sent);
    if shut {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut heard = vec![];
    match stream.read_to_end(&mut heard) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            panic!("{error} after {}", String::from_utf8_lossy(&heard));
        }
        _ => heard,
    }
}

/// The answers to these bytes and the probe behind them, a word each: `200`; `404 not_found`, with the code of an
/// error; `probe` for the last one. Where that is missing the connection was ended before.
#[track_caller]
fn answers(server: &Server, sent: impl AsRef<[u8]>) -> Vec<String> {
    let heard = all_for(server, &[sent.as_ref(), PROBE.as_bytes()].concat(), false);
    read(&heard)
}

/// The same for bytes behind which nothing comes.
#[track_caller]
fn answers_to_the_end(server: &Server, sent: impl AsRef<[u8]>) -> Vec<String> {
    read(&all_for(server, sent.as_ref(), true))
}

#[track_caller]
fn read(heard: &[u8]) -> Vec<String> {
    let mut rest = std::str::from_utf8(heard).unwrap();
    let mut answers = vec![];
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let status = head.split(' ').nth(1).unwrap();
        assert!(head.starts_with("HTTP/1.") && !status.starts_with('5'), "{rest}");
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        let (body, after) = after.split_at(length);
        rest = after;
        if status == "100" {
            answers.push(status.to_owned());
            continue;
        }
        let id = header("x-request-id").unwrap_or_else(|| panic!("bare: {head}"));
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        answers.push(match body["code"].as_str() {
            Some(code) => {
                assert!(body["error"] == true && body["request_id"] == id, "{body}");
                assert_eq!(header("content-type"), Some("application/json"), "{head}");
                format!("{status} {code}")
            }
            None if id == "probe" => id.to_owned(),
            None => status.to_owned(),
        });
    }
    assert_eq!(rest, "", "half an answer");
    answers
}

/// That a fresh connection is answered, and at once.
fn expect_well(server: &Server) {
    assert_eq!(answers(server, ""), ["probe"]);
}

/// A request without a body: the line is this, and there are these further header lines.
fn request(account: &Account, line: &str, headers: &str) -> String {
    format!("{line}\r\nhost: x\r\nauthorization: Bearer {}\r\n{headers}\r\n", account.token)
}
