//! HTTP/2, frame by frame (RFC 9113): malformed requests, protocol violations and floods.

use super::{exchange, expect_healthy};
use crate::support::Server;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes header fields as literals, without compression (RFC 7541 §6.2.2).
fn encode_fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = text.len();
        // Lengths from 127 on continue in further bytes, with seven bits each.
        let mut bytes = vec![u8::try_from(length.min(127)).unwrap()];
        let mut rest = length.checked_sub(127);
        while let Some(left) = rest {
            let low = u8::try_from(left & 127).unwrap();
            rest = (left > 127).then_some(left >> 7);
            bytes.push(if rest.is_some() { low | 128 } else { low });
        }
        bytes.extend(text.as_bytes());
        bytes
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/healthz")];

/// Returns a HEADERS frame with a request for `/healthz` and these additional fields.
fn get_request(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &encode_fields(&[&GET, more].concat()))
}

/// How the service responded to the frames of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Http2Outcome {
    /// The streams with a response, and the first byte of its fields: `0x88` is status 200 (RFC 7541 appendix A).
    responses: Vec<(u32, u8)>,
    /// The streams that the service reset, and the error codes.
    resets: Vec<(u32, u32)>,
    /// The error code of GOAWAY, if it is not 0.
    goaway: Option<u32>,
}

impl Http2Outcome {
    fn parse(mut received: &[u8]) -> Self {
        let mut outcome = Self::default();
        while let Some((head, rest)) = received.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            // The last frame may be incomplete when the connection is reset.
            let Some((payload, rest)) = rest.split_at_checked(length) else { break };
            received = rest;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let reason = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            match head[3] {
                HEADERS => outcome.responses.extend(payload.first().map(|first| (stream, *first))),
                RST_STREAM => outcome.resets.push((stream, reason(payload))),
                GOAWAY => outcome.goaway = Some(reason(&payload[4..])).filter(|reason| *reason != 0).or(outcome.goaway),
                _ => {}
            }
        }
        outcome
    }
}

/// Sends frames and then GOAWAY, so that the service closes the connection. Returns the outcome.
fn send_frames(server: &Server, frames: &[u8]) -> Http2Outcome {
    let bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), frames, &frame(GOAWAY, 0, 0, &[0; 8])].concat();
    Http2Outcome::parse(&exchange(server, &bytes, false))
}

/// Sends frames and then a valid request. Checks that this request is answered or that the connection closes.
fn send_frames_and_request(server: &Server, frames: &[u8]) -> Http2Outcome {
    let outcome = send_frames(server, &[frames, &get_request(1_001, &[])].concat());
    assert!(
        outcome.responses.contains(&(1_001, 0x88)) || outcome.goaway.is_some() || outcome == Http2Outcome::default(),
        "{outcome:?}"
    );
    expect_healthy(server);
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_request_resets_its_stream_without_affecting_others() {
    let server = Server::shared();
    assert_eq!(
        send_frames(server, &get_request(1, &[])),
        Http2Outcome { responses: vec![(1, 0x88)], ..Http2Outcome::default() }
    );
    let (method, scheme, authority, path) = (GET[0], GET[1], GET[2], GET[3]);
    for (name, list) in [
        ("upper case", vec![method, scheme, authority, path, ("X-Name", "y")]),
        ("a pseudo-field behind others", vec![method, scheme, authority, ("x", "y"), path]),
        ("a path twice", vec![method, scheme, authority, path, path]),
        ("two methods", vec![method, (":method", "POST"), scheme, authority, path]),
        ("no path", vec![method, scheme, authority]),
        ("no method", vec![scheme, authority, path]),
        ("no scheme", vec![method, authority, path]),
        ("an empty path", vec![method, scheme, authority, (":path", "")]),
        ("a blank in the path", vec![method, scheme, authority, (":path", "/a b")]),
        ("an unknown pseudo-field", vec![method, scheme, authority, path, (":unknown", "y")]),
        ("a status", vec![method, scheme, authority, path, (":status", "200")]),
        ("connection", vec![method, scheme, authority, path, ("connection", "close")]),
        ("transfer-encoding", vec![method, scheme, authority, path, ("transfer-encoding", "chunked")]),
        ("upgrade", vec![method, scheme, authority, path, ("upgrade", "h2c")]),
        ("te", vec![method, scheme, authority, path, ("te", "gzip")]),
        ("a line break in a value", vec![method, scheme, authority, path, ("x", "a\r\nb: c")]),
        ("NUL in a value", vec![method, scheme, authority, path, ("x", "a\0b")]),
        ("an empty name", vec![method, scheme, authority, path, ("", "y")]),
        ("a malformed authority", vec![method, scheme, (":authority", "a b"), path]),
        ("an invalid method", vec![(":method", "G T"), scheme, authority, path]),
    ] {
        let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &encode_fields(&list));
        let outcome = send_frames_and_request(server, &request);
        assert!(outcome.responses.iter().all(|(stream, _)| *stream != 1), "{name}: {outcome:?}");
        assert!(outcome.resets.contains(&(1, PROTOCOL_ERROR)) || outcome.goaway.is_some(), "{name}: {outcome:?}");
    }
    // Two `Host` fields are rejected here too, with a response of status 400 (`0x8c`).
    let outcome = send_frames_and_request(server, &get_request(1, &[("host", "x"), ("host", "y")]));
    assert!(outcome.responses.contains(&(1, 0x8c)), "{outcome:?}");
    // A body that differs from its `content-length`.
    for sent in [&b"x"[..], b"xxxxx"] {
        let list =
            [&[(":method", "POST"), GET[1], GET[2], (":path", "/contacts")][..], &[("content-length", "3")]].concat();
        let frames = [frame(HEADERS, END_HEADERS, 1, &encode_fields(&list)), frame(DATA, END_STREAM, 1, sent)].concat();
        let outcome = send_frames_and_request(server, &frames);
        assert!(outcome.resets.iter().any(|(stream, _)| *stream == 1) || outcome.goaway.is_some(), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn protocol_violations_close_the_connection() {
    let server = Server::shared();
    let unfinished = frame(HEADERS, END_STREAM, 1, &encode_fields(&GET));
    for (name, frames) in [
        ("data on stream 0", frame(DATA, 0, 0, b"x")),
        ("data on a stream that does not exist", frame(DATA, 0, 5, b"x")),
        ("a request on stream 0", get_request(0, &[])),
        ("a request on a stream with an even number", get_request(2, &[])),
        ("a window increment of 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a window that overflows", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[])),
        ("settings of a wrong length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("an initial window size above the maximum", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a ping of a wrong length", frame(PING, 0, 0, &[0; 7])),
        ("a push promise from the client", frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("a reset of a stream that does not exist", frame(RST_STREAM, 0, 9, &[0; 4])),
        ("a frame that is too large", frame(DATA, 0, 1, &[0; 20_000])),
        ("fields that can't be decoded", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 40])),
        ("padding that is longer than its frame", frame(HEADERS, END_STREAM | END_HEADERS | 8, 1, &[200, 0x82])),
        ("another frame between header frames", [unfinished.clone(), frame(PING, 0, 0, &[0; 8])].concat()),
        ("a continuation without headers", frame(CONTINUATION, END_HEADERS, 1, &encode_fields(&GET))),
    ] {
        let outcome = send_frames_and_request(server, &frames);
        assert!(outcome.goaway.is_some(), "{name}: {outcome:?}");
    }
    // Frames of an unknown type are ignored.
    let outcome = send_frames_and_request(server, &frame(0xee, 0xff, 0, &[0; 100]));
    assert_eq!(outcome.responses, [(1_001, 0x88)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_floods_are_absorbed_or_close_the_connection() {
    let server = Server::with_own_database("floods", |_| {});
    let odd_stream_ids = |count: u32| (0..count).map(|number| number * 2 + 1);
    // "Rapid reset" (CVE-2023-44487).
    let reset = |stream: u32| [get_request(stream, &[]), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat();
    let outcome = send_frames(&server, &odd_stream_ids(3_000).flat_map(reset).collect::<Vec<_>>());
    assert!(outcome.goaway == Some(ENHANCE_YOUR_CALM) || outcome == Http2Outcome::default(), "{:?}", outcome.goaway);
    expect_healthy(&server);
    // CONTINUATION frames without end (CVE-2024-27316).
    let more = frame(CONTINUATION, 0, 1, &encode_fields(&[("x", &"y".repeat(1_000))]));
    let outcome =
        send_frames(&server, &[frame(HEADERS, END_STREAM, 1, &encode_fields(&GET)), more.repeat(5_000)].concat());
    assert!(outcome.responses.is_empty(), "{outcome:?}");
    expect_healthy(&server);
    // The same with empty CONTINUATION frames.
    let empty = frame(CONTINUATION, 0, 1, &[]);
    let outcome =
        send_frames(&server, &[frame(HEADERS, END_STREAM, 1, &encode_fields(&GET)), empty.repeat(50_000)].concat());
    assert!(outcome.responses.is_empty(), "{outcome:?}");
    expect_healthy(&server);
    for (name, frames) in [
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(20_000)),
        ("pings", frame(PING, 0, 0, &[7; 8]).repeat(20_000)),
        ("priorities", frame(2, 0, 3, &[0, 0, 0, 0, 1]).repeat(20_000)),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(20_000)),
        ("unknown frames", frame(0xee, 0, 0, &[]).repeat(20_000)),
    ] {
        let outcome = send_frames_and_request(&server, &frames);
        assert!(outcome.responses.len() <= 1, "{name}: {outcome:?}");
    }
    // More concurrent requests than a connection allows: those within the limit are answered, the others refused.
    let outcome =
        send_frames(&server, &odd_stream_ids(500).flat_map(|stream| get_request(stream, &[])).collect::<Vec<_>>());
    assert!(outcome.responses.iter().all(|(_, first)| *first == 0x88), "{outcome:?}");
    assert!(outcome.responses.len() >= 100 || outcome.goaway.is_some(), "{outcome:?}");
    expect_healthy(&server);
    assert_eq!(server.app.in_flight(), 0, "a request is still in flight");
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_header_list_is_rejected_with_a_response() {
    let server = Server::shared();
    let large = "y".repeat(10_000);
    let list: Vec<_> = (0..7).map(|_| ("x", &*large)).collect();
    let block = encode_fields(&[&GET[..], &list].concat());
    let mut frames = vec![];
    let pieces = block.chunks(16_000).collect::<Vec<_>>();
    for (index, piece) in pieces.iter().enumerate() {
        let end = if index + 1 == pieces.len() { END_HEADERS } else { 0 };
        frames.extend(if index == 0 {
            frame(HEADERS, END_STREAM | end, 1, piece)
        } else {
            frame(CONTINUATION, end, 1, piece)
        });
    }
    let outcome = send_frames_and_request(server, &frames);
    // The status is 431, which is not in the static table of HPACK, so the field is a literal with the indexed name
    // `:status`. The HTTP library sends this response without a body, and the service cannot add one.
    assert!(outcome.responses.iter().any(|(stream, first)| *stream == 1 && *first != 0x88), "{outcome:?}");
    assert!(outcome.responses.contains(&(1_001, 0x88)), "{outcome:?}");
}
