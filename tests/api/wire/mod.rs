//! Malformed and hostile bytes on a connection. Every request gets exactly one response, never a 5xx. Then the connection
//! stays in sync or is closed. Other connections are not affected.
//!
//! Errors have the common format. Only requests that the HTTP parser rejects get a bare response: a status without a
//! body, after which the connection is closed (`docs/api-reference.md#bare-responses`).

mod connection_handling;
mod framing;
mod http2;
mod request_heads;
mod response_headers;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Account, Server};

/// The read timeout of the tests, longer than every timeout of the service.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A request sent after the bytes of a test. If the connection is still in sync, its response is the last one.
const PROBE_REQUEST: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nx-request-id: probe\r\nconnection: close\r\n\r\n";

/// A request that may be mistaken for a part of the request before it. It must be answered only if it is a request of
/// its own.
const SMUGGLED_REQUEST: &str = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n";

/// Sends bytes on a new connection, and closes the sending side if `half_close` is set. Returns everything received
/// until the service closes the connection.
fn exchange(server: &Server, sent: &[u8], half_close: bool) -> Vec<u8> {
    exchange_until_reset(server, sent, half_close).0
}

/// Like [`exchange`], and also returns whether the service reset the connection.
fn exchange_until_reset(server: &Server, sent: &[u8], half_close: bool) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    // The write fails if the service rejects the request early and closes the connection.
    let is_write_reset = stream.write_all(sent).is_err();
    if half_close {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut received = vec![];
    match stream.read_to_end(&mut received) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (received, true),
        Err(error) => panic!("{error} after {}", String::from_utf8_lossy(&received)),
        Ok(_) => (received, is_write_reset),
    }
}

/// Sends bytes and then [`PROBE_REQUEST`]. Returns a summary of each response: `200`, or `404 not_found` with the code
/// of an error, or `400 bare` for a bare response, or `probe` for the probe request. Without a final `probe`, the service
/// closed the connection before it.
#[track_caller]
fn responses(server: &Server, sent: impl AsRef<[u8]>) -> Vec<String> {
    let received = exchange(server, &[sent.as_ref(), PROBE_REQUEST.as_bytes()].concat(), false);
    parse_responses(&received)
}

/// Sends a request head that is larger than the part that the service reads before it rejects the request. Checks that the
/// only response is this bare one. The unread bytes reset the connection, so the response can be lost.
#[track_caller]
fn expect_bare_response_to_large_head(server: &Server, sent: impl AsRef<[u8]>, expected: &str) {
    let sent = [sent.as_ref(), PROBE_REQUEST.as_bytes()].concat();
    let (received, is_reset) = exchange_until_reset(server, &sent, false);
    let responses = parse_responses(&received);
    assert!(responses == [expected] || (is_reset && responses.is_empty()), "{responses:?}");
}

/// Sends bytes and closes the sending side. Returns a summary of each response, like [`responses`].
#[track_caller]
fn responses_after_half_close(server: &Server, sent: impl AsRef<[u8]>) -> Vec<String> {
    parse_responses(&exchange(server, sent.as_ref(), true))
}

/// Parses HTTP/1.1 responses and checks the format of every error. Returns a summary of each response.
#[track_caller]
fn parse_responses(received: &[u8]) -> Vec<String> {
    let mut rest = std::str::from_utf8(received).unwrap();
    let mut responses = vec![];
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let status = head.split(' ').nth(1).unwrap();
        assert!(head.starts_with("HTTP/1.") && !status.starts_with('5'), "{rest}");
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        let (body, after) = after.split_at(length);
        rest = after;
        if status == "100" {
            responses.push(status.to_owned());
            continue;
        }
        let Some(id) = header("x-request-id") else {
            assert!(body.is_empty() && header("connection") == Some("close"), "not a bare response: {head}");
            assert_eq!(rest, "", "bytes after a bare response");
            responses.push(format!("{status} bare"));
            continue;
        };
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        responses.push(match body["code"].as_str() {
            Some(code) => {
                assert!(body["error"] == true && body["request_id"] == id, "{body}");
                assert_eq!(header("content-type"), Some("application/json"), "{head}");
                format!("{status} {code}")
            }
            None if id == "probe" => id.to_owned(),
            None => status.to_owned(),
        });
    }
    assert_eq!(rest, "", "the last response is incomplete");
    responses
}

/// Checks that the service still answers on a new connection.
fn expect_healthy(server: &Server) {
    assert_eq!(responses(server, ""), ["probe"]);
}

/// Returns a request without a body, with this request line and these additional header lines.
fn request(account: &Account, request_line: &str, headers: &str) -> String {
    format!("{request_line}\r\nhost: x\r\nauthorization: Bearer {}\r\n{headers}\r\n", account.token)
}
