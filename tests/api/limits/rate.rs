//! `RATE_LIMIT_PER_MINUTE` (`docs/api-reference.md#limits`).

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse, Server, run_concurrently, sign, timestamp_in};

fn server_with_rate_limit(name: &str, rate: u32) -> Server {
    Server::with_own_database(name, |settings| settings.limits.rate_per_minute = NonZeroU32::new(rate))
}

/// Returns the number of remaining requests, from the headers of a response.
#[track_caller]
fn remaining(response: &ApiResponse, limit: &str) -> u32 {
    assert_eq!(response.header("ratelimit-limit"), limit, "{}", response.text);
    assert!(response.header("ratelimit-reset").parse::<u64>().is_ok());
    response.header("ratelimit-remaining").parse().unwrap()
}

/// Returns the body of a batch of `count` inputs.
fn batch_body_with_inputs(count: usize) -> Value {
    json!({"inputs": vec![json!({"fields": {"first_name": "A"}}); count]})
}

#[tokio::test]
async fn remaining_requests_count_down_to_429_for_each_account_separately() {
    let server = server_with_rate_limit("rate_count", 3);
    let account = Account::on_server(&server);
    for expected in [2, 1, 0] {
        assert_eq!(remaining(&account.get("/contacts").await.expect(200), "3"), expected);
    }
    let rejected = account.get("/contacts").await.expect_error(429, "rate_limited");
    assert_eq!(remaining(&rejected, "3"), 0);
    let seconds: u64 = rejected.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    assert_eq!(rejected.header("ratelimit-reset"), rejected.header("retry-after"));
    assert!(rejected.body["message"].as_str().unwrap().contains(&format!("{seconds} s")));
    assert_eq!(remaining(&Account::on_server(&server).get("/contacts").await.expect(200), "3"), 2);
    // All tokens of an account share its limit. Each instance counts separately.
    let other = sign(&json!({"account_id": account.id, "sub": "other", "exp": timestamp_in(60)}));
    account.with_token(other).get("/contacts").await.expect_error(429, "rate_limited");
    assert_eq!(
        account.on_instance(&server.second_instance()).get("/contacts").await.expect(200).header("ratelimit-limit"),
        ""
    );
}

#[tokio::test]
async fn rate_limit_headers_are_on_every_response_to_a_request_of_an_account() {
    let account = Account::on_server(&server_with_rate_limit("rate_headers", 1_000));
    for (method, path, status) in [
        ("GET", "/contacts", 200),
        ("HEAD", "/contacts", 200),
        ("GET", "/contacts?limit=abc", 400),
        ("GET", "/contacts/x", 404),
        ("GET", "/contacts/", 400),
        ("PATCH", "/contacts", 400),
        ("PATCH", "/contacts/x", 400),
        ("GET", "/fields", 200),
    ] {
        let response = account.call(method, path).send().await.expect(status);
        assert!(remaining(&response, "1000") > 900, "{method} {path}");
    }
    let reader = sign(&json!({"account_id": account.id, "exp": timestamp_in(60), "scope": "contacts:read"}));
    remaining(&account.with_token(reader).post("/contacts", json!({})).await.expect(403), "1000");
    // Requests without an account, and responses given before the account is known, have no limit.
    let without_account = sign(&json!({"exp": timestamp_in(60)}));
    for response in [
        account.with_token(without_account).get("/contacts").await.expect(401),
        account.with_token("x.y.z").get("/contacts").await.expect(401),
        account.anonymous("GET", "/healthz").send().await.expect(200),
        account.get("/nope").await.expect(404),
        account.call("PUT", "/contacts").send().await.expect(405),
        account.call("OPTIONS", "/contacts").send().await.expect(204),
    ] {
        assert_eq!(response.header("ratelimit-limit"), "", "{}", response.text);
    }
}

#[tokio::test]
async fn rate_limit_is_checked_after_the_token_and_before_the_scope() {
    let account = Account::on_server(&server_with_rate_limit("rate_order", 1));
    account.get("/contacts").await.expect(200);
    let reader = sign(&json!({"account_id": account.id, "exp": timestamp_in(60), "scope": ""}));
    account.with_token(reader).post("/contacts?limit=x", json!([])).await.expect_error(429, "rate_limited");
    account.with_token("x").get("/contacts").await.expect_error(401, "unauthorized");
    account.get("/nope").await.expect_error(404, "route_not_found");
    let huge = "x".repeat(1024 * 1024 + 1);
    account
        .call("POST", "/contacts")
        .body_without_content_type(huge)
        .send()
        .await
        .expect_error(413, "payload_too_large");
}

#[tokio::test]
async fn batch_costs_a_tenth_of_its_inputs() {
    let account = Account::on_server(&server_with_rate_limit("rate_batch", 100));
    let started = Instant::now();
    // The requests that the limit regains in the meantime are added.
    let expect_remaining = |response: &ApiResponse, expected: u32| {
        let regained = (started.elapsed().as_secs_f64() * 100.0 / 60.0).ceil() as u32;
        let requests = remaining(response, "100");
        assert!(
            (expected..=expected + regained).contains(&requests),
            "{requests} requests remain, expected {expected}"
        );
    };
    expect_remaining(&account.batch("create", batch_body_with_inputs(1)).await.expect(200), 99);
    expect_remaining(&account.batch("create", batch_body_with_inputs(10)).await.expect(200), 98);
    expect_remaining(&account.batch("create", batch_body_with_inputs(11)).await.expect(200), 96);
    let ids: Vec<_> = (0..200).map(|_| json!({"id": uuid::Uuid::now_v7()})).collect();
    expect_remaining(&account.batch("read", json!({"inputs": ids})).await.expect(207), 76);
    // An invalid batch costs as much as any other request.
    for rejected in [json!({"inputs": []}), json!({"inputs": [1, 2]}), batch_body_with_inputs(1_001)] {
        account.batch("create", rejected).await.expect_error(400, "invalid_body");
    }
    expect_remaining(&account.get("/contacts").await, 72);
    let stored = account.stored_rows().await;
    let rejected = account.batch("create", batch_body_with_inputs(1_000)).await.expect_error(429, "rate_limited");
    assert!(remaining(&rejected, "100") > 60, "the rejected batch used up the remaining requests");
    assert_eq!(account.stored_rows().await, stored, "a rejected batch wrote something");
    // The remaining requests are still available to smaller batches.
    account.batch("create", batch_body_with_inputs(500)).await.expect(200);
}

#[tokio::test]
async fn cost_of_a_batch_is_rounded_up() {
    for (inputs, expected) in [(10, 1), (11, 0), (20, 0)] {
        let account = Account::on_server(&server_with_rate_limit(&format!("rate_rounded_{inputs}"), 2));
        // The limit regains a request after 30 s.
        let response = account.batch("create", batch_body_with_inputs(inputs)).await.expect(200);
        assert_eq!(remaining(&response, "2"), expected, "after {inputs} inputs");
    }
}

#[tokio::test]
async fn batch_that_costs_more_than_the_limit_uses_all_of_it() {
    let account = Account::on_server(&server_with_rate_limit("rate_large_batch", 2));
    assert_eq!(remaining(&account.batch("create", batch_body_with_inputs(1_000)).await.expect(200), "2"), 0);
    account.get("/contacts").await.expect_error(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_requests_gets_exactly_the_rate_limit() {
    let account = Account::on_server(&server_with_rate_limit("rate_flood", 50));
    let flood = (0..400).map(|_| {
        let account = account.clone();
        async move { account.post("/contacts", json!({"fields": {"first_name": "A"}})).await.status }
    });
    let started = Instant::now();
    let statuses = run_concurrently(flood).await;
    let elapsed = started.elapsed();
    let accepted = statuses.iter().filter(|status| **status == 201).count();
    assert_eq!(accepted + statuses.iter().filter(|status| **status == 429).count(), 400);
    // Plus the requests that the limit regains in the meantime.
    let regained = elapsed.as_secs_f64() * 50.0 / 60.0 + 1.0;
    assert!((50..=50 + regained.ceil() as usize).contains(&accepted), "{accepted} in {elapsed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_succeeds_after_retry_after_has_passed() {
    let account = Account::on_server(&server_with_rate_limit("rate_wait", 12));
    account.batch("create", batch_body_with_inputs(120)).await.expect(200);
    let rejected = account.get("/contacts").await.expect_error(429, "rate_limited");
    let seconds = rejected.header("retry-after").parse().unwrap();
    assert!((1..=5).contains(&seconds), "{seconds}");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    account.get("/contacts").await.expect(200);
}
