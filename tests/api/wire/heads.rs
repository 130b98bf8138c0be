//! The lines before a body: what is asked for, of whom, by which version, and what else may stand there.

use super::{answers, answers_to_the_end, expect_well, request};
use crate::support::Account;

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_a_path_in_whatever_form() {
    let account = Account::new().await;
    let long = |length: usize| format!("/contacts?x={}", "y".repeat(length));
    let (fits, too_long, far_too_long) = (long(60_000), long(70_000), long(140_000));
    for (target, answer) in [
        ("/contacts", "200"),
        ("/%63ontacts", "200"),
        ("/contacts#fragment", "200"),
        ("/contacts?limit=1#fragment", "200"),
        ("http://x/contacts", "200"),
        ("https://elsewhere/contacts", "200"),
        ("http://x/contacts?limit=0", "400 invalid_query"),
        ("/contacts?limit=%00", "400 invalid_query"),
        ("/contacts?email=%ff", "400 invalid_query"),
        (&fits, "200"),
        ("http://x", "404 route_not_found"),
        ("x:80", "404 route_not_found"),
        ("*", "404 route_not_found"),
        ("/", "404 route_not_found"),
        ("//", "404 route_not_found"),
        ("//contacts", "404 route_not_found"),
        ("/contacts//", "404 route_not_found"),
        ("/./contacts", "404 route_not_found"),
        ("/contacts/../fields", "404 route_not_found"),
        ("/contacts/%2e%2e/fields", "404 route_not_found"),
        ("/contacts;a=b", "404 route_not_found"),
        ("contacts", "404 route_not_found"),
        ("/contacts/..", "404 not_found"),
        ("/contacts/a%2Fb", "404 not_found"),
        ("/contacts/%00", "404 not_found"),
        ("/contacts/%ff", "404 not_found"),
        ("/contacts/%c0%af", "404 not_found"),
        ("/contacts/%zz", "404 not_found"),
        ("/contacts/%", "404 not_found"),
        ("/contacts/ä", "404 not_found"),
        ("/contacts/\u{202e}", "404 not_found"),
    ] {
        let sent = request(&account, &format!("GET {target} HTTP/1.1"), "");
        assert_eq!(answers(&account.server, sent), [answer, "probe"], "{}", &target[..target.len().min(50)]);
    }
    for target in
        ["", "/con tacts", "/con\ttacts", "/con\0tacts", "/con\u{7f}tacts", "\\contacts", "?x", "/contacts?<x>"]
    {
        let sent = request(&account, &format!("GET {target} HTTP/1.1"), "");
        assert_eq!(answers(&account.server, sent), ["400 malformed_request"], "{target:?}");
    }
    let no_utf8 = [b"GET /\xff\xfe HTTP/1.1\r\n", request(&account, "", "").trim_start().as_bytes()].concat();
    assert_eq!(answers(&account.server, no_utf8), ["400 malformed_request"]);
    for (target, answer) in [(too_long, "414 uri_too_long"), (far_too_long, "431 headers_too_large")] {
        let sent = request(&account, &format!("GET {target} HTTP/1.1"), "");
        assert_eq!(answers(&account.server, sent), [answer]);
    }
    expect_well(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_named_once() {
    let account = Account::new().await;
    let send = |version: &str, hosts: &str| {
        let authorization = format!("authorization: Bearer {}", account.token);
        answers(&account.server, format!("GET /contacts HTTP/{version}\r\n{hosts}{authorization}\r\n\r\n"))
    };
    for host in ["x", "x:8080", "X.example.", "127.0.0.1:80", "[::1]:80", "my_service", ""] {
        assert_eq!(send("1.1", &format!("host: {host}\r\n")), ["200", "probe"], "{host}");
    }
    let bad = ["x\r\nhost: x", "x\r\nhost: y", "\r\nhost: x", "x, y", "x y", "x/y", "http://x", "u:p@x", "x#y", "x?y"];
    for host in bad.map(|host| format!("host: {host}\r\n")).iter().map(String::as_str).chain(["", "x-host: x\r\n"]) {
        assert_eq!(send("1.1", host), ["400 malformed_request"], "{host:?}");
    }
    // Who is that old needs none.
    assert_eq!(send("1.0", ""), ["200"]);
    assert_eq!(send("1.0", "host: x\r\nhost: y\r\n"), ["400 malformed_request"]);
    // Nothing comes before it, and nobody learns more by leaving it out.
    for path in ["/nowhere", "/healthz", "/metrics", "/openapi.json"] {
        let sent = format!("GET {path} HTTP/1.1\r\n\r\n");
        assert_eq!(answers(&account.server, sent), ["400 malformed_request"], "{path}");
    }
    expect_well(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn header_lines_have_their_form_and_their_measure() {
    let account = Account::new().await;
    let many = |count: usize| (0..count).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    for headers in [
        "x:\r\n",
        "x: \t y \t\r\n",
        "x: y\r\nx: z\r\n",
        "x-!#$%&'*+.^_`|~: y\r\n",
        "x: ä💥\r\n",
        "x: y\n",
        &format!("x: {}\r\n", "y".repeat(100_000)),
        &format!("x-{}: y\r\n", "n".repeat(1_000)),
        &many(90),
    ] {
        let sent = request(&account, "GET /contacts HTTP/1.1", headers);
        assert_eq!(answers(&account.server, sent), ["200", "probe"], "{}", &headers[..headers.len().min(50)]);
    }
    for headers in [
        ": y\r\n",
        "x\r\n",
        "x y\r\n",
        "x : y\r\n",
        "x\t: y\r\n",
        " x: y\r\n",
        "x: y\r\n z\r\n",
        "x: a\0b\r\n",
        "x: a\u{1}b\r\n",
        "x: a\u{7f}b\r\n",
        "x: a\rb\r\n",
        "ä: y\r\n",
        "x(y): z\r\n",
        "\0: y\r\n",
    ] {
        let sent = request(&account, "GET /contacts HTTP/1.1", headers);
        assert_eq!(answers(&account.server, sent), ["400 malformed_request"], "{headers:?}");
    }
    for headers in
        [many(101), many(1_000), format!("x: {}\r\n", "y".repeat(140_000)), format!("{}: y\r\n", "n".repeat(140_000))]
    {
        let sent = request(&account, "GET /contacts HTTP/1.1", &headers);
        assert_eq!(answers(&account.server, sent), ["431 headers_too_large"]);
    }
    let latin = [request(&account, "GET /contacts HTTP/1.1", "x: "), String::new()].concat();
    let latin = [latin.trim_end().as_bytes(), b" \xe4\xff\r\n\r\n"].concat();
    assert_eq!(answers(&account.server, latin), ["200", "probe"]);
    expect_well(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_methods_that_are_not_ours_are_told_so() {
    let account = Account::new().await;
    for version in [
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/2",
        "HTTP/3",
        "HTTP/0.9",
        "http/1.1",
        "HTTP/1.1x",
        "HTTP/01.1",
        "HTTP/1",
        "HTTPS/1.1",
        "",
    ] {
        let sent = request(&account, &format!("GET /contacts {version}"), "");
        assert_eq!(answers(&account.server, sent), ["400 malformed_request"], "{version}");
    }
    assert_eq!(answers_to_the_end(&account.server, "GET /contacts\r\n"), ["400 malformed_request"]);
    for (method, answer) in [
        ("TRACE", "405 method_not_allowed"),
        ("CONNECT", "405 method_not_allowed"),
        ("BREW", "405 method_not_allowed"),
        ("QUERY", "405 method_not_allowed"),
        ("get", "405 method_not_allowed"),
        ("Get", "405 method_not_allowed"),
        ("!#$%&'*+-.^_`|~", "405 method_not_allowed"),
        (&"A".repeat(10_000), "405 method_not_allowed"),
        ("OPTIONS", "204"),
    ] {
        let sent = request(&account, &format!("{method} /contacts HTTP/1.1"), "");
        assert_eq!(answers(&account.server, sent), [answer, "probe"], "{}", &method[..method.len().min(20)]);
    }
    for method in ["G@T", "GE T", "GÄT", "\0GET", "(GET)"] {
        let sent = request(&account, &format!("{method} /contacts HTTP/1.1"), "");
        assert_eq!(answers(&account.server, sent), ["400 malformed_request"], "{method}");
    }
    // Nothing is a tunnel, nor speaks of the whole server.
    for line in ["CONNECT x:80 HTTP/1.1", "OPTIONS * HTTP/1.1", "PRI /x HTTP/1.1"] {
        assert_eq!(answers(&account.server, request(&account, line, "")), ["404 route_not_found", "probe"], "{line}");
    }
    expect_well(&account.server);
}
