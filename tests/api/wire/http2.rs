//! HTTP/2, frame by frame (RFC 9113): what a caller may do wrong, and what one may do too often.

use super::{all_for, expect_well};
use crate::support::Server;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
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

/// Fields as they are, not compressed (RFC 7541 §6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = text.len();
        // From 127 on the rest follows, seven bits a byte.
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

/// A request for `/healthz` with these fields besides.
fn get(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(&[&GET, more].concat()))
}

/// What the service says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Which streams it answers, with the first byte of the fields: `0x88` is 200 (RFC 7541 appendix A).
    answers: Vec<(u32, u8)>,
    /// Which streams it resets, and why.
    resets: Vec<(u32, u32)>,
    /// Why it ends the connection, if for a reason.
    ends: Option<u32>,
}

impl Said {
    fn read(mut heard: &[u8]) -> Self {
        let mut said = Self::default();
        while let Some((head, rest)) = heard.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            // The rest may be lost when the connection is cut.
            let Some((payload, rest)) = rest.split_at_checked(length) else { break };
            heard = rest;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let reason = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            match head[3] {
                HEADERS => said.answers.extend(payload.first().map(|first| (stream, *first))),
                RESET => said.resets.push((stream, reason(payload))),
                GO_AWAY => said.ends = Some(reason(&payload[4..])).filter(|reason| *reason != 0).or(said.ends),
                _ => {}
            }
        }
        said
    }
}

/// What the service says to these frames. Then we go, so that it ends.
fn say(server: &Server, frames: &[u8]) -> Said {
    let bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), frames, &frame(GO_AWAY, 0, 0, &[0; 8])].concat();
    Said::read(&all_for(server, &bytes, false))
}

/// What it says to these frames with a good request behind them: that it is answered, or that the connection ends.
fn say_and_ask(server: &Server, frames: &[u8]) -> Said {
    let said = say(server, &[frames, &get(1_001, &[])].concat());
    assert!(said.answers.contains(&(1_001, 0x88)) || said.ends.is_some() || said == Said::default(), "{said:?}");
    expect_well(server);
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_is_reset_and_costs_no_other() {
    let server = Server::shared();
    assert_eq!(say(server, &get(1, &[])), Said { answers: vec![(1, 0x88)], ..Said::default() });
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
        ("a method that is none", vec![(":method", "G T"), scheme, authority, path]),
    ] {
        let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&list));
        let said = say_and_ask(server, &request);
        assert!(said.answers.iter().all(|(stream, _)| *stream != 1), "{name}: {said:?}");
        assert!(said.resets.contains(&(1, PROTOCOL_ERROR)) || said.ends.is_some(), "{name}: {said:?}");
    }
    // Two hosts are as little a host here; an answer says so.
    let said = say_and_ask(server, &get(1, &[("host", "x"), ("host", "y")]));
    assert!(said.answers.contains(&(1, 0x8c)), "{said:?}");
    // A body that is not as long as it was said to be.
    for sent in [&b"x"[..], b"xxxxx"] {
        let list =
            [&[(":method", "POST"), GET[1], GET[2], (":path", "/contacts")][..], &[("content-length", "3")]].concat();
        let frames = [frame(HEADERS, END_HEADERS, 1, &fields(&list)), frame(DATA, END_STREAM, 1, sent)].concat();
        let said = say_and_ask(server, &frames);
        assert!(said.resets.iter().any(|(stream, _)| *stream == 1) || said.ends.is_some(), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_against_the_rules_end_the_connection() {
    let server = Server::shared();
    let unfinished = frame(HEADERS, END_STREAM, 1, &fields(&GET));
    for (name, frames) in [
        ("data of no stream", frame(DATA, 0, 0, b"x")),
        ("data of a stream that is not there", frame(DATA, 0, 5, b"x")),
        ("a request of no stream", get(0, &[])),
        ("a request on a stream of ours", get(2, &[])),
        ("a window that grows by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a window that grows too large", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[])),
        ("settings of a wrong length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a window that is no window", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a ping of a wrong length", frame(PING, 0, 0, &[0; 7])),
        ("a promise to us", frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("a reset of what is not there", frame(RESET, 0, 9, &[0; 4])),
        ("a frame that is too large", frame(DATA, 0, 1, &[0; 20_000])),
        ("fields that can't be decoded", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 40])),
        ("padding that is longer than its frame", frame(HEADERS, END_STREAM | END_HEADERS | 8, 1, &[200, 0x82])),
        ("another frame among fields", [unfinished.clone(), frame(PING, 0, 0, &[0; 8])].concat()),
        ("fields that go on where there are none", frame(CONTINUATION, END_HEADERS, 1, &fields(&GET))),
    ] {
        let said = say_and_ask(server, &frames);
        assert!(said.ends.is_some(), "{name}: {said:?}");
    }
    // Of a kind that nobody knows.
    let said = say_and_ask(server, &frame(0xee, 0xff, 0, &[0; 100]));
    assert_eq!(said.answers, [(1_001, 0x88)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_borne_or_ended() {
    let server = Server::on_own_database("floods", |_| {});
    let odd = |count: u32| (0..count).map(|number| number * 2 + 1);
    // "Rapid reset" (CVE-2023-44487).
    let reset = |stream: u32| [get(stream, &[]), frame(RESET, 0, stream, &[0, 0, 0, 8])].concat();
    let said = say(&server, &odd(3_000).flat_map(reset).collect::<Vec<_>>());
    assert!(said.ends == Some(ENHANCE_YOUR_CALM) || said == Said::default(), "{:?}", said.ends);
    expect_well(&server);
    // Fields without end (CVE-2024-27316).
    let more = frame(CONTINUATION, 0, 1, &fields(&[("x", &"y".repeat(1_000))]));
    let said = say(&server, &[frame(HEADERS, END_STREAM, 1, &fields(&GET)), more.repeat(5_000)].concat());
    assert!(said.answers.is_empty(), "{said:?}");
    expect_well(&server);
    // The same in pieces of nothing.
    let nothing = frame(CONTINUATION, 0, 1, &[]);
    let said = say(&server, &[frame(HEADERS, END_STREAM, 1, &fields(&GET)), nothing.repeat(50_000)].concat());
    assert!(said.answers.is_empty(), "{said:?}");
    expect_well(&server);
    for (name, frames) in [
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(20_000)),
        ("pings", frame(PING, 0, 0, &[7; 8]).repeat(20_000)),
        ("priorities", frame(2, 0, 3, &[0, 0, 0, 0, 1]).repeat(20_000)),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(20_000)),
        ("unknown frames", frame(0xee, 0, 0, &[]).repeat(20_000)),
    ] {
        let said = say_and_ask(&server, &frames);
        assert!(said.answers.len() <= 1, "{name}: {said:?}");
    }
    // More requests at once than a connection may have: what is above is refused, what is within is answered.
    let said = say(&server, &odd(500).flat_map(|stream| get(stream, &[])).collect::<Vec<_>>());
    assert!(said.answers.iter().all(|(_, first)| *first == 0x88), "{said:?}");
    assert!(said.answers.len() >= 100 || said.ends.is_some(), "{said:?}");
    expect_well(&server);
    assert_eq!(server.app.in_flight(), 0, "a request was left open");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_too_large_are_refused_by_the_library() {
    let server = Server::shared();
    let large = "y".repeat(10_000);
    let list: Vec<_> = (0..7).map(|_| ("x", &*large)).collect();
    let block = fields(&[&GET[..], &list].concat());
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
    let said = say_and_ask(server, &frames);
    // 431, which is in no table: a literal behind the name of `:status`. It has no body, and we can't give it one.
    assert!(said.answers.iter().any(|(stream, first)| *stream == 1 && *first != 0x88), "{said:?}");
    assert!(said.answers.contains(&(1_001, 0x88)), "{said:?}");
}
