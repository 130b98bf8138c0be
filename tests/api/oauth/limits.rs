//! The limits of the token endpoint, which callers without a token can reach
//! (`docs/api-reference.md#client-credentials`).

use std::time::Duration;

use contacts::config::TrustedProxies;

use super::{ApiClient, FORM_CONTENT_TYPE, GRANT_PARAMETER, expect_oauth_error, request_token};
use crate::limits::RawConnection;
use crate::support::{Account, ApiResponse, Server, Stopwatch};

/// The number of token requests that one peer may have in progress.
const MAX_REQUESTS_OF_PEER: usize = 128;

/// Starts a token request whose body does not arrive. `headers` end with a line break.
fn start_token_request(server: &Server, headers: &str) -> RawConnection {
    let mut connection = RawConnection::connect(server);
    connection.send(&format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: x\r\n{headers}content-type: {FORM_CONTENT_TYPE}\r\ncontent-length: 99\r\n\r\n"
    ));
    connection
}

/// Sends a wrong secret for a client id.
async fn send_wrong_secret(account: &Account, id: &str, forwarded_for: &str) -> ApiResponse {
    let form = format!("{GRANT_PARAMETER}&client_id={id}&client_secret=wrong");
    let call = account.anonymous("POST", "/oauth2/token").header("x-forwarded-for", forwarded_for);
    call.body(FORM_CONTENT_TYPE, form).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn token_request_whose_body_takes_longer_than_2_seconds_is_408() {
    let server = Server::with_own_database("slow_token_body", |_| {});
    let mut slow = start_token_request(&server, "");
    let started = Stopwatch::start();
    for _ in 0..15 {
        slow.send("a");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let response = slow.read_to_end();
    started.expect_milliseconds(1_900..4_500);
    assert!(response.starts_with("HTTP/1.1 408") && response.contains("\r\nconnection: close\r\n"), "{response}");
    assert!(response.contains("\"error\":\"invalid_request\""), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_requests_take_no_slot_of_other_requests_and_have_a_limit_of_their_own() {
    let server = Server::with_own_database("token_slots", |settings| {
        settings.limits.concurrent_requests = 2;
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
    });
    let account = Account::on_server(&server);
    let client = ApiClient::create(&account, None).await;
    let slow: Vec<_> = (0..MAX_REQUESTS_OF_PEER).map(|_| start_token_request(&server, "")).collect();
    server.wait_for_in_flight(MAX_REQUESTS_OF_PEER).await;
    account.get("/contacts").await.expect(200);
    let rejected = request_token(&account, client.token_form()).await;
    assert_eq!(expect_oauth_error(rejected, 503, "temporarily_unavailable").header("retry-after"), "1");
    let of_another_peer = account.anonymous("POST", "/oauth2/token").header("x-forwarded-for", "192.0.2.1");
    of_another_peer.body(FORM_CONTENT_TYPE, client.token_form()).send().await.expect(200);
    drop(slow);
    let started = Stopwatch::start();
    while request_token(&account, client.token_form()).await.status != 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "the slots were not released");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_secrets_are_429_past_10_a_minute_for_a_client_and_the_right_secret_is_200() {
    let server = Server::with_own_database("wrong_secrets", |_| {});
    let account = Account::on_server(&server);
    let (client, other) = (ApiClient::create(&account, None).await, ApiClient::create(&account, None).await);
    for _ in 0..10 {
        let response = send_wrong_secret(&account, &client.id.to_string(), "").await;
        expect_oauth_error(response, 401, "invalid_client");
    }
    let response = send_wrong_secret(&account, &client.id.to_string(), "").await;
    let response = expect_oauth_error(response, 429, "slow_down");
    let retry_after: u64 = response.header("retry-after").parse().unwrap();
    assert!((1..=6).contains(&retry_after), "{retry_after}");
    assert_eq!(response.header("www-authenticate"), "");
    // `X-Forwarded-For` of a caller that is no trusted proxy does not make it another peer.
    let response = send_wrong_secret(&account, &client.id.to_string(), "192.0.2.1").await;
    expect_oauth_error(response, 429, "slow_down");
    expect_oauth_error(send_wrong_secret(&account, &other.id.to_string(), "").await, 401, "invalid_client");
    // The limit on wrong secrets never rejects a right one, also past the limit of the peer.
    let mut statuses = vec![];
    for number in 0..1_000 {
        statuses.push(send_wrong_secret(&account, &format!("client-{number}"), "").await.status);
    }
    assert!(statuses[..50].iter().all(|status| *status == 401), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 429).count() > 800, "{statuses:?}");
    request_token(&account, client.token_form()).await.expect(200);
    request_token(&account, other.token_form()).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_secrets_are_counted_for_each_peer_behind_a_trusted_proxy_and_for_ipv6_by_64_bits() {
    let server = Server::with_own_database("wrong_secrets_of_peers", |settings| {
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.0/8").unwrap();
    });
    let account = Account::on_server(&server);
    let client = ApiClient::create(&account, None).await.id.to_string();
    for number in 0..10 {
        for forwarded_for in ["192.0.2.1", &format!("192.0.2.1, 2001:db8::{number}"), "192.0.2.1, 192.0.2.2, 127.0.0.2"]
        {
            let response = send_wrong_secret(&account, &client, forwarded_for).await;
            expect_oauth_error(response, 401, "invalid_client");
        }
    }
    for (forwarded_for, status) in [
        ("192.0.2.1", 429),
        ("::ffff:192.0.2.1", 429),
        ("192.0.2.2", 429),
        ("2001:db8::ffff", 429),
        ("2001:db8:0:1::1", 401),
        ("192.0.2.3", 401),
    ] {
        let response = send_wrong_secret(&account, &client, forwarded_for).await;
        assert_eq!(response.status, status, "{forwarded_for}: {}", response.text);
    }
}
