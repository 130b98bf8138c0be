//! The framing of request bodies. If two servers disagree about the end of a request, an attacker can smuggle a second
//! request in its body (RFC 9112 §6 and §11.2).

use super::{SMUGGLED_REQUEST, expect_healthy, request, responses, responses_after_half_close};
use crate::support::Account;

const BODY: &str = r#"{"fields":{"first_name":"A"}}"#;

/// Returns a request that creates a contact, with these header lines and the bytes that follow the head.
fn create_request(account: &Account, headers: &str, rest: &str) -> String {
    request(account, "POST /contacts?dry_run=true HTTP/1.1", headers) + rest
}

/// Returns the body with chunked transfer coding.
fn chunked_body() -> String {
    format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn content_length_must_be_a_single_number() {
    let account = Account::new().await;
    let size = BODY.len();
    let content_lengths = [
        (format!("{size}"), true),
        (format!("0{size}"), true),
        (format!("\t{size} "), true),
        (format!("{size}\r\ncontent-length: {size}"), true),
        (format!("{size}\r\ncontent-length: {}", size + 1), false),
        (format!("{}\r\ncontent-length: {size}", size + 1), false),
        (format!("{size},{size}"), false),
        (format!("{size}, {}", size + 1), false),
        (format!("+{size}"), false),
        (format!("-{size}"), false),
        (format!("0x{size:x}"), false),
        (format!("{size}.0"), false),
        (format!("{size}e0"), false),
        (format!("{size} {size}"), false),
        (format!("\"{size}\""), false),
        ("٢٩".to_owned(), false),
        (String::new(), false),
        ("99999999999999999999999".to_owned(), false),
    ];
    for (length, is_valid) in content_lengths {
        let sent =
            create_request(&account, &format!("content-length: {length}\r\n"), &format!("{BODY}{SMUGGLED_REQUEST}"));
        let expected: &[&str] = if is_valid { &["201", "404 route_not_found", "probe"] } else { &["400 bare"] };
        assert_eq!(responses(&account.server, sent), expected, "{length:?}");
    }
    // The parser rejects `u64::MAX` as too large to count, with another error.
    let sent = create_request(&account, &format!("content-length: {}\r\n", u64::MAX), BODY);
    assert_eq!(responses(&account.server, sent), ["431 bare"]);
    let sent = create_request(&account, &format!("content-length: {}\r\n", i64::MAX), BODY);
    assert_eq!(responses_after_half_close(&account.server, sent), ["413 payload_too_large"]);
    expect_healthy(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_is_the_only_accepted_transfer_coding() {
    let account = Account::new().await;
    let body = chunked_body() + SMUGGLED_REQUEST;
    for coding in ["transfer-encoding: chunked", "transfer-encoding:\tCHUNKED ", "x: y\ntransfer-encoding: chunked"] {
        let sent = create_request(&account, &format!("{coding}\r\n"), &body);
        assert_eq!(responses(&account.server, sent), ["201", "404 route_not_found", "probe"], "{coding:?}");
    }
    // The parser accepts a list of codings that ends in `chunked`, so the service rejects these itself.
    for coding in [
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: ,chunked",
    ] {
        let sent = create_request(&account, &format!("{coding}\r\n"), &body);
        let received = responses(&account.server, sent);
        assert_eq!(received, ["400 malformed_request"], "{coding:?}");
    }
    // The parser rejects all others.
    for coding in [
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: chunked,",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: xchunked",
        "transfer-encoding: identity",
        "transfer-encoding: gzip",
        "transfer-encoding:",
        "transfer-encoding: \u{b}chunked",
        "transfer-encoding: \0chunked",
        "transfer-encoding : chunked",
        " transfer-encoding: chunked",
        "transfer-encoding:\r\n chunked",
    ] {
        let sent = create_request(&account, &format!("{coding}\r\n"), &body);
        let received = responses(&account.server, sent);
        assert_eq!(received, ["400 bare"], "{coding:?}");
    }
    // `Transfer-Encoding` overrides `Content-Length`, and the connection closes after the response (RFC 9112 §6.1).
    for headers in
        ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"]
    {
        let sent = create_request(&account, &format!("{headers}\r\n"), &body);
        assert_eq!(responses(&account.server, sent), ["201"], "{headers:?}");
    }
    // A different header name, so the request has no body and the chunks are parsed as the next request.
    let sent = create_request(&account, "transfer_encoding: chunked\r\n", &body);
    assert_eq!(responses(&account.server, sent), ["400 invalid_json", "400 bare"]);
    let http_1_0 = request(&account, "POST /contacts?dry_run=true HTTP/1.0", "transfer-encoding: chunked\r\n");
    assert_eq!(responses(&account.server, http_1_0 + &body), ["400 bare"]);
    expect_healthy(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_chunked_body_is_400_and_endless_one_is_413() {
    let account = Account::new().await;
    let size = BODY.len();
    let send = |body: &str| {
        let sent = create_request(&account, "transfer-encoding: chunked\r\n", &format!("{body}{SMUGGLED_REQUEST}"));
        responses(&account.server, sent)
    };
    for body in [
        format!("{size:x};name=value;other=\"quoted\"\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{size:x}  \r\n{BODY}\r\n0\r\n\r\n"),
        format!("{}{size:x}\r\n{BODY}\r\n0000\r\n\r\n", "0".repeat(20)),
        format!("{size:X}\r\n{BODY}\r\n0\r\nx-checksum: y\r\ncontent-length: 5\r\n\r\n"),
        format!("1\r\n{{\r\n{:x}\r\n{}\r\n0\r\n\r\n", size - 1, &BODY[1..]),
    ] {
        assert_eq!(send(&body), ["201", "404 route_not_found", "probe"], "{body}");
    }
    for body in [
        format!("zz\r\n{BODY}\r\n0\r\n\r\n"),
        format!("\r\n{BODY}\r\n0\r\n\r\n"),
        format!("-{size:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("+{size:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("0x{size:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!(" {size:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{size:x}\n{BODY}\n0\n\n"),
        format!("{size:x};a\nb\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{size:x}\r\n{BODY}0\r\n\r\n"),
        format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", size - 1),
        format!("fffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n"),
        format!("1{size:016x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{size:x}\r\n{BODY}\r\n0\r\nno trailer\r\n\r\n"),
        format!("{size:x};{}\r\n{BODY}\r\n0\r\n\r\n", "a".repeat(100_000)),
        format!("{size:x}\r\n{BODY}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(5_000)),
    ] {
        assert_eq!(send(&body), ["400 invalid_body"], "{}", &body[..body.len().min(80)]);
    }
    // Chunks that are shorter than their declared size, because the client stops sending.
    for body in
        [format!("ffffffffffffffff\r\n{BODY}"), format!("7fffffffffffffff\r\n{BODY}"), format!("{size:x}\r\n{{")]
    {
        let sent = create_request(&account, "transfer-encoding: chunked\r\n", &body);
        assert_eq!(responses_after_half_close(&account.server, sent), ["400 invalid_body"], "{body}");
    }
    // A body over the size limit, in small chunks without a last one.
    let endless = "1000\r\n".to_owned() + &" ".repeat(4096) + "\r\n";
    let sent = create_request(&account, "transfer-encoding: chunked\r\n", &endless.repeat(300));
    assert_eq!(responses_after_half_close(&account.server, sent), ["413 payload_too_large"]);
    expect_healthy(&account.server);
}
