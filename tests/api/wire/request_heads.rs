//! The head of a request: its target, host, header lines, version and method.

use super::{expect_bare_response_to_large_head, expect_healthy, request, responses, responses_after_half_close};
use crate::support::Account;

#[tokio::test(flavor = "multi_thread")]
async fn request_target_is_routed_or_rejected() {
    let account = Account::new().await;
    let long = |length: usize| format!("/contacts?properties={}", ",".repeat(length));
    let (fits, too_long, larger_than_any_head) = (long(60_000), long(70_000), long(140_000));
    for (target, expected) in [
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
        assert_eq!(responses(&account.server, sent), [expected, "probe"], "{}", &target[..target.len().min(50)]);
    }
    for target in
        ["", "/con tacts", "/con\ttacts", "/con\0tacts", "/con\u{7f}tacts", "\\contacts", "?x", "/contacts?<x>"]
    {
        let sent = request(&account, &format!("GET {target} HTTP/1.1"), "");
        assert_eq!(responses(&account.server, sent), ["400 bare"], "{target:?}");
    }
    let invalid_utf8 = [b"GET /\xff\xfe HTTP/1.1\r\n", request(&account, "", "").trim_start().as_bytes()].concat();
    assert_eq!(responses(&account.server, invalid_utf8), ["400 bare"]);
    let sent = request(&account, &format!("GET {too_long} HTTP/1.1"), "");
    assert_eq!(responses(&account.server, sent), ["414 bare"]);
    let sent = request(&account, &format!("GET {larger_than_any_head} HTTP/1.1"), "");
    expect_bare_response_to_large_head(&account.server, sent, "431 bare");
    expect_healthy(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_1_request_needs_exactly_one_valid_host() {
    let account = Account::new().await;
    let send = |version: &str, hosts: &str| {
        let authorization = format!("authorization: Bearer {}", account.token);
        responses(&account.server, format!("GET /contacts HTTP/{version}\r\n{hosts}{authorization}\r\n\r\n"))
    };
    for host in ["x", "x:8080", "X.example.", "127.0.0.1:80", "[::1]:80", "my_service", ""] {
        assert_eq!(send("1.1", &format!("host: {host}\r\n")), ["200", "probe"], "{host}");
    }
    let invalid_hosts =
        ["x\r\nhost: x", "x\r\nhost: y", "\r\nhost: x", "x, y", "x y", "x/y", "http://x", "u:p@x", "x#y", "x?y"];
    for host in
        invalid_hosts.map(|host| format!("host: {host}\r\n")).iter().map(String::as_str).chain(["", "x-host: x\r\n"])
    {
        assert_eq!(send("1.1", host), ["400 malformed_request"], "{host:?}");
    }
    // HTTP/1.0 requests need no `Host`.
    assert_eq!(send("1.0", ""), ["200"]);
    assert_eq!(send("1.0", "host: x\r\nhost: y\r\n"), ["400 malformed_request"]);
    // The `Host` check comes before all others, on every route.
    for path in ["/nowhere", "/healthz", "/metrics", "/openapi.json"] {
        let sent = format!("GET {path} HTTP/1.1\r\n\r\n");
        assert_eq!(responses(&account.server, sent), ["400 malformed_request"], "{path}");
    }
    expect_healthy(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_header_line_is_400_and_oversized_head_is_431() {
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
        assert_eq!(responses(&account.server, sent), ["200", "probe"], "{}", &headers[..headers.len().min(50)]);
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
        assert_eq!(responses(&account.server, sent), ["400 bare"], "{headers:?}");
    }
    for headers in
        [many(101), many(1_000), format!("x: {}\r\n", "y".repeat(140_000)), format!("{}: y\r\n", "n".repeat(140_000))]
    {
        let sent = request(&account, "GET /contacts HTTP/1.1", &headers);
        expect_bare_response_to_large_head(&account.server, sent, "431 bare");
    }
    let latin_1 = [request(&account, "GET /contacts HTTP/1.1", "x: "), String::new()].concat();
    let latin_1 = [latin_1.trim_end().as_bytes(), b" \xe4\xff\r\n\r\n"].concat();
    assert_eq!(responses(&account.server, latin_1), ["200", "probe"]);
    expect_healthy(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_version_is_400_and_unsupported_method_is_405() {
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
        assert_eq!(responses(&account.server, sent), ["400 bare"], "{version}");
    }
    assert_eq!(responses_after_half_close(&account.server, "GET /contacts\r\n"), ["400 bare"]);
    for (method, expected) in [
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
        assert_eq!(responses(&account.server, sent), [expected, "probe"], "{}", &method[..method.len().min(20)]);
    }
    for method in ["G@T", "GE T", "GÄT", "\0GET", "(GET)"] {
        let sent = request(&account, &format!("{method} /contacts HTTP/1.1"), "");
        assert_eq!(responses(&account.server, sent), ["400 bare"], "{method}");
    }
    // The service supports neither CONNECT tunnels nor requests about the whole server.
    for request_line in ["CONNECT x:80 HTTP/1.1", "OPTIONS * HTTP/1.1", "PRI /x HTTP/1.1"] {
        assert_eq!(
            responses(&account.server, request(&account, request_line, "")),
            ["404 route_not_found", "probe"],
            "{request_line}"
        );
    }
    expect_healthy(&account.server);
}
