//! `RATE_LIMIT_PER_MINUTE` (contract §2, 429)

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Account, Answer, Server, at_once, in_seconds, sign};

fn limited(name: &str, rate: u32) -> Server {
    Server::on_own_database(name, |settings| settings.limits.rate_per_minute = NonZeroU32::new(rate))
}

/// How many requests are left, by the headers of an answer.
#[track_caller]
fn left(answer: &Answer, limit: &str) -> u32 {
    assert_eq!(answer.header("ratelimit-limit"), limit, "{}", answer.text);
    assert!(answer.header("ratelimit-reset").parse::<u64>().is_ok());
    answer.header("ratelimit-remaining").parse().unwrap()
}

fn inputs(count: usize) -> Value {
    json!({"inputs": vec![json!({"fields": {"first_name": "A"}}); count]})
}

#[tokio::test]
async fn counts_down_to_a_refusal_and_each_account_for_itself() {
    let server = limited("rate_count", 3);
    let account = Account::on(&server);
    for expected in [2, 1, 0] {
        assert_eq!(left(&account.get("/contacts").await.expect(200), "3"), expected);
    }
    let refused = account.get("/contacts").await.expect_error(429, "rate_limited");
    assert_eq!(left(&refused, "3"), 0);
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("ratelimit-reset"), refused.header("retry-after"));
    assert!(refused.body["message"].as_str().unwrap().contains(&format!("{seconds} s")));
    assert_eq!(left(&Account::on(&server).get("/contacts").await.expect(200), "3"), 2);
    // Another token of the account is the same account; another instance counts for itself.
    let other = sign(&json!({"account_id": account.id, "sub": "other", "exp": in_seconds(60)}));
    account.with_token(other).get("/contacts").await.expect_error(429, "rate_limited");
    assert_eq!(account.at(&server.twin()).get("/contacts").await.expect(200).header("ratelimit-limit"), "");
}

#[tokio::test]
async fn says_where_an_account_stands_on_every_answer_that_is_about_one() {
    let account = Account::on(&limited("rate_headers", 1_000));
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
        let answer = account.call(method, path).send().await.expect(status);
        assert!(left(&answer, "1000") > 900, "{method} {path}");
    }
    let reader = sign(&json!({"account_id": account.id, "exp": in_seconds(60), "scope": "contacts:read"}));
    left(&account.with_token(reader).post("/contacts", json!({})).await.expect(403), "1000");
    // Who is nobody, or asks for what is nobody's, has no limit.
    let nobody = sign(&json!({"exp": in_seconds(60)}));
    for answer in [
        account.with_token(nobody).get("/contacts").await.expect(401),
        account.with_token("x.y.z").get("/contacts").await.expect(401),
        account.anonymous("GET", "/healthz").send().await.expect(200),
        account.get("/nope").await.expect(404),
        account.call("PUT", "/contacts").send().await.expect(405),
        account.call("OPTIONS", "/contacts").send().await.expect(204),
    ] {
        assert_eq!(answer.header("ratelimit-limit"), "", "{}", answer.text);
    }
}

#[tokio::test]
async fn comes_after_the_token_and_before_the_scope() {
    let account = Account::on(&limited("rate_order", 1));
    account.get("/contacts").await.expect(200);
    let reader = sign(&json!({"account_id": account.id, "exp": in_seconds(60), "scope": ""}));
    account.with_token(reader).post("/contacts?limit=x", json!([])).await.expect_error(429, "rate_limited");
    account.with_token("x").get("/contacts").await.expect_error(401, "unauthorized");
    account.get("/nope").await.expect_error(404, "route_not_found");
    let huge = "x".repeat(1024 * 1024 + 1);
    account.call("POST", "/contacts").bare(huge).send().await.expect_error(413, "payload_too_large");
}

#[tokio::test]
async fn a_batch_costs_a_tenth_of_its_inputs() {
    let account = Account::on(&limited("rate_batch", 100));
    let started = Instant::now();
    // What comes back in the meantime is there besides.
    let expect_left = |answer: &Answer, expected: u32| {
        let back = (started.elapsed().as_secs_f64() * 100.0 / 60.0).ceil() as u32;
        let left = left(answer, "100");
        assert!((expected..=expected + back).contains(&left), "{left}, not {expected}");
    };
    expect_left(&account.batch("create", inputs(1)).await.expect(200), 99);
    expect_left(&account.batch("create", inputs(10)).await.expect(200), 98);
    expect_left(&account.batch("create", inputs(11)).await.expect(200), 96);
    let ids: Vec<_> = (0..200).map(|_| json!({"id": uuid::Uuid::now_v7()})).collect();
    expect_left(&account.batch("read", json!({"inputs": ids})).await.expect(207), 76);
    // What is no batch costs what any request costs.
    for refused in [json!({"inputs": []}), json!({"inputs": [1, 2]}), inputs(1_001)] {
        account.batch("create", refused).await.expect_error(400, "invalid_body");
    }
    expect_left(&account.get("/contacts").await, 72);
    let stored = account.stored().await;
    let refused = account.batch("create", inputs(1_000)).await.expect_error(429, "rate_limited");
    assert!(left(&refused, "100") > 60, "the rest is still there");
    assert_eq!(account.stored().await, stored, "a refused batch did something");
    // The rest is still there for smaller ones.
    account.batch("create", inputs(500)).await.expect(200);
}

#[tokio::test]
async fn a_batch_that_costs_more_than_there_ever_is_costs_all_of_it() {
    let account = Account::on(&limited("rate_large_batch", 2));
    assert_eq!(left(&account.batch("create", inputs(1_000)).await.expect(200), "2"), 0);
    account.get("/contacts").await.expect_error(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_gets_exactly_its_share_and_costs_little() {
    let account = Account::on(&limited("rate_flood", 50));
    let flood = (0..400).map(|_| {
        let account = account.clone();
        async move { account.post("/contacts", json!({"fields": {"first_name": "A"}})).await.status }
    });
    let started = Instant::now();
    let statuses = at_once(flood).await;
    let took = started.elapsed();
    let passed = statuses.iter().filter(|status| **status == 201).count();
    assert_eq!(passed + statuses.iter().filter(|status| **status == 429).count(), 400);
    // What comes back in the meantime, besides.
    let back = took.as_secs_f64() * 50.0 / 60.0 + 1.0;
    assert!((50..=50 + back.ceil() as usize).contains(&passed), "{passed} in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_passes_when_it_said() {
    let account = Account::on(&limited("rate_wait", 12));
    account.batch("create", inputs(120)).await.expect(200);
    let refused = account.get("/contacts").await.expect_error(429, "rate_limited");
    let seconds = refused.header("retry-after").parse().unwrap();
    assert!((1..=5).contains(&seconds), "{seconds}");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    account.get("/contacts").await.expect(200);
}
