//! Requests that contain marked values in every part of a request that can hold a value.

use std::io::{Read, Write};
use std::net::TcpStream;

use hyper_util::rt::{TokioExecutor, TokioIo};

use super::marked_value;

/// Sends raw bytes on a new connection and returns the complete response.
pub(super) fn send_raw(address: &str, text: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Sends a request with a marked value in every header, and returns the complete response.
pub(super) fn send_marked(address: &str, head: &str, authorization: &str, body: &str) -> String {
    let (length, mark) = (body.len(), marked_value("header"));
    let is_form = head.contains("oauth2");
    let kind = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
    send_raw(
        address,
        &format!(
            "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\ncontent-type: {kind}\r\n\
             authorization: {authorization}\r\ncookie: {mark}\r\nuser-agent: {mark}\r\nx-{mark}: {mark}\r\n\
             traceparent: {mark}\r\nif-match: \"{mark}\"\r\nidempotency-key: {}\r\n\r\n{body}",
            marked_value(&format!("key-{length}-at-{address}"))
        ),
    )
}

/// Sends a marked request over HTTP/2, because the HTTP/2 library writes its own log events.
pub(super) fn send_over_http_2(address: &str, path: &str, authorization: &str) {
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut client, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get(format!("http://x{path}")).header("authorization", authorization);
        let request = request.header("cookie", marked_value("cookie")).body(String::new()).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    };
    tokio::runtime::Runtime::new().unwrap().block_on(exchange);
}

/// Sends a malformed request over HTTP/2, which the HTTP/2 library rejects and logs (RFC 9113 §6, RFC 7541 §6.2.2).
pub(super) fn send_malformed_over_http_2(address: &str) {
    let path = format!("/a blank {}", marked_value("path"));
    let mut headers = vec![];
    for (name, value) in [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", &*path)] {
        for text in [name, value] {
            // A literal header field without indexing begins with a zero byte.
            headers.extend(if text == name { &[0][..] } else { &[] });
            headers.push(u8::try_from(text.len()).unwrap());
            headers.extend(text.as_bytes());
        }
    }
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let mut stream = TcpStream::connect(address).unwrap();
    // A SETTINGS frame, the complete request as a HEADERS frame, and a GOAWAY frame.
    let frames = [frame(4, 0, 0, &[]), frame(1, 5, 1, &headers), frame(7, 0, 0, &[0; 8])].concat();
    stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frames].concat()).unwrap();
    stream.read_to_end(&mut vec![]).unwrap();
}
