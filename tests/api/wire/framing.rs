//! Where a request ends: what two parties may understand in two ways, one of them us (RFC 9112 §6 and §11.2).

use super::{HIDDEN, answers, answers_to_the_end, expect_well, request};
use crate::support::Account;

const BODY: &str = r#"{"fields":{"first_name":"A"}}"#;

/// A request to create, with these header lines about its body, and what then comes.
fn post(account: &Account, headers: &str, rest: &str) -> String {
    request(account, "POST /contacts?dry_run=true HTTP/1.1", headers) + rest
}

fn chunked() -> String {
    format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_is_one_number() {
    let account = Account::new().await;
    let size = BODY.len();
    let tries = [
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
    for (length, is_good) in tries {
        let sent = post(&account, &format!("content-length: {length}\r\n"), &format!("{BODY}{HIDDEN}"));
        let expected: &[&str] =
            if is_good { &["201", "404 route_not_found", "probe"] } else { &["400 malformed_request"] };
        assert_eq!(answers(&account.server, sent), expected, "{length:?}");
    }
    // The largest that there is, of which the parser says that it can't be counted.
    let sent = post(&account, &format!("content-length: {}\r\n", u64::MAX), BODY);
    assert_eq!(answers(&account.server, sent), ["431 headers_too_large"]);
    let sent = post(&account, &format!("content-length: {}\r\n", i64::MAX), BODY);
    assert_eq!(answers_to_the_end(&account.server, sent), ["413 payload_too_large"]);
    expect_well(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_the_only_coding() {
    let account = Account::new().await;
    let body = chunked() + HIDDEN;
    for coding in ["transfer-encoding: chunked", "transfer-encoding:\tCHUNKED ", "x: y\ntransfer-encoding: chunked"] {
        let sent = post(&account, &format!("{coding}\r\n"), &body);
        assert_eq!(answers(&account.server, sent), ["201", "404 route_not_found", "probe"], "{coding:?}");
    }
    for coding in [
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: ,chunked",
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
        let sent = post(&account, &format!("{coding}\r\n"), &body);
        let heard = answers(&account.server, sent);
        assert_eq!(heard, ["400 malformed_request"], "{coding:?}");
    }
    // Of the two ways to end a body chunks win, and nothing that follows is believed (RFC 9112 §6.1).
    for headers in
        ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"]
    {
        let sent = post(&account, &format!("{headers}\r\n"), &body);
        assert_eq!(answers(&account.server, sent), ["201"], "{headers:?}");
    }
    // Another header, and no body.
    let sent = post(&account, "transfer_encoding: chunked\r\n", &body);
    assert_eq!(answers(&account.server, sent), ["400 invalid_json", "400 malformed_request"]);
    let old = request(&account, "POST /contacts?dry_run=true HTTP/1.0", "transfer-encoding: chunked\r\n");
    assert_eq!(answers(&account.server, old + &body), ["400 malformed_request"]);
    expect_well(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_counted_strictly() {
    let account = Account::new().await;
    let size = BODY.len();
    let send = |body: &str| {
        let sent = post(&account, "transfer-encoding: chunked\r\n", &format!("{body}{HIDDEN}"));
        answers(&account.server, sent)
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
    // What is announced and does not come; what comes short.
    for body in
        [format!("ffffffffffffffff\r\n{BODY}"), format!("7fffffffffffffff\r\n{BODY}"), format!("{size:x}\r\n{{")]
    {
        let sent = post(&account, "transfer-encoding: chunked\r\n", &body);
        assert_eq!(answers_to_the_end(&account.server, sent), ["400 invalid_body"], "{body}");
    }
    // More than is read, in small pieces that never end.
    let endless = "1000\r\n".to_owned() + &" ".repeat(4096) + "\r\n";
    let sent = post(&account, "transfer-encoding: chunked\r\n", &endless.repeat(300));
    assert_eq!(answers_to_the_end(&account.server, sent), ["413 payload_too_large"]);
    expect_well(&account.server);
}
