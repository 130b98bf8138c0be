//! Callers who plant values wherever a request has a place for one.

use std::io::{Read, Write};
use std::net::TcpStream;

use hyper_util::rt::{TokioExecutor, TokioIo};

use super::planted;

/// A request as it is sent, whatever it is; and all that is answered.
pub(super) fn send(address: &str, text: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(super) fn call(address: &str, head: &str, authorization: &str, body: &str) -> String {
    let (length, mark) = (body.len(), planted("header"));
    let is_form = head.contains("oauth2");
    let kind = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
    send(
        address,
        &format!(
            "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\ncontent-type: {kind}\r\n\
             authorization: {authorization}\r\ncookie: {mark}\r\nuser-agent: {mark}\r\nx-{mark}: {mark}\r\n\
             traceparent: {mark}\r\nif-match: \"{mark}\"\r\nidempotency-key: {}\r\n\r\n{body}",
            planted(&format!("key-{length}-at-{address}"))
        ),
    )
}

/// The same over HTTP/2, whose library has a log of its own.
pub(super) fn call_over_http_2(address: &str, path: &str, authorization: &str) {
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut client, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get(format!("http://x{path}")).header("authorization", authorization);
        let request = request.header("cookie", planted("cookie")).body(String::new()).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    };
    tokio::runtime::Runtime::new().unwrap().block_on(exchange);
}

/// A request over HTTP/2 that its library takes for none, and logs in its own words (RFC 9113 §6, RFC 7541 §6.2.2).
pub(super) fn call_badly_over_http_2(address: &str) {
    let path = format!("/a blank {}", planted("path"));
    let mut headers = vec![];
    for (name, value) in [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", &*path)] {
        for text in [name, value] {
            // A literal that is not to be indexed begins with a zero.
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
    // Settings of ours; the request, whole; a goodbye.
    let frames = [frame(4, 0, 0, &[]), frame(1, 5, 1, &headers), frame(7, 0, 0, &[0; 8])].concat();
    stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frames].concat()).unwrap();
    stream.read_to_end(&mut vec![]).unwrap();
}
