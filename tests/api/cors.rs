//! `CORS_ALLOWED_ORIGINS`: which pages may call the API from a browser.

use contacts::config::Origins;
use serde_json::json;

use crate::support::{Account, Answer, Server};

const OURS: &str = "https://app.example.com";

fn server(name: &str, origins: Origins) -> Server {
    Server::on_own_database(name, |settings| settings.cors = Some(origins.clone()))
}

fn listed(answer: &Answer, header: &str) -> Vec<String> {
    answer.header(header).split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_says_what_may_be_sent() {
    let server = server("cors_preflight", Origins::These(vec![OURS.into(), "http://localhost:3000".into()]));
    let account = Account::on(&server);
    for (path, origin) in [("/contacts/x", OURS), ("/contacts", "http://localhost:3000"), ("/fields", OURS)] {
        let answer = account
            .anonymous("OPTIONS", path)
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,content-type,idempotency-key")
            .send()
            .await;
        assert_eq!((answer.status, &*answer.text), (204, ""));
        assert!(answer.header("allow").contains("GET"), "{path}: {}", answer.header("allow"));
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert_eq!(answer.header("access-control-max-age"), "7200");
        for method in ["get", "post", "patch", "put", "delete"] {
            assert!(
                listed(&answer, "access-control-allow-methods").iter().any(|allowed| allowed == method),
                "{method}"
            );
        }
        for header in [
            "authorization",
            "content-type",
            "if-match",
            "if-none-match",
            "idempotency-key",
            "x-request-id",
            "traceparent",
        ] {
            assert!(
                listed(&answer, "access-control-allow-headers").iter().any(|allowed| allowed == header),
                "{header}"
            );
        }
        assert_eq!(answer.header("x-request-id").len(), 36);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(listed(&answer, "vary").contains(&"origin".to_owned()));
    }
    let nowhere = account.anonymous("OPTIONS", "/nope").header("origin", OURS);
    let nowhere = nowhere.header("access-control-request-method", "GET").send().await;
    nowhere.expect_error(404, "route_not_found");
}

#[tokio::test]
async fn answers_and_errors_can_be_read_by_pages_of_the_origins_only() {
    let account = Account::on(&server("cors_answers", Origins::These(vec![OURS.into()])));
    let from = |origin: &'static str, method: &str, path: &str| account.call(method, path).header("origin", origin);
    let created =
        from(OURS, "POST", "/contacts").json(&json!({"fields": {"first_name": "A"}})).send().await.expect(201);
    for header in ["etag", "location", "x-request-id", "retry-after", "ratelimit-remaining", "idempotency-replayed"] {
        assert!(listed(&created, "access-control-expose-headers").iter().any(|exposed| exposed == header), "{header}");
    }
    for (answer, status) in [
        (from(OURS, "GET", "/contacts").send().await, 200),
        (from(OURS, "GET", "/nope").send().await, 404),
        (from(OURS, "GET", "/contacts?limit=x").send().await, 400),
        (account.anonymous("GET", "/contacts").header("origin", OURS).send().await, 401),
        (from(OURS, "DELETE", "/fields").send().await, 405),
    ] {
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, OURS), "{}", answer.text);
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        assert!(listed(&answer, "vary").contains(&"origin".to_owned()));
    }
    for other in ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"] {
        let answer = from(other, "GET", "/contacts").send().await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), "", "{other}");
    }
}

#[tokio::test]
async fn what_is_answered_in_haste_can_be_read_too() {
    let server = Server::on_own_database("cors_overload", |settings| {
        settings.cors = Some(Origins::Any);
        settings.limits.concurrent_requests = 1;
        settings.limits.rate_per_minute = std::num::NonZeroU32::new(1);
        settings.request_timeout = std::time::Duration::from_millis(1_000);
    });
    let account = Account::on(&server);
    account.get("/contacts").await.expect(200);
    let limited =
        account.call("GET", "/contacts").header("origin", OURS).send().await.expect_error(429, "rate_limited");
    assert_eq!(limited.header("access-control-allow-origin"), "*");
    let other = Account::on(&server);
    let mut holder = account.database().await;
    sqlx::query("BEGIN").execute(&mut holder).await.unwrap();
    sqlx::query("LOCK TABLE contacts").execute(&mut holder).await.unwrap();
    let call = |path: &'static str| other.call("GET", path).header("origin", OURS).send();
    let (slow, shed) = tokio::join!(call("/contacts"), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        call("/contacts").await
    });
    for answer in [slow, shed] {
        let answer = answer.expect_error(503, "unavailable");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn options_without_an_origin_is_asked_of_the_route() {
    let account = Account::on(&server("cors_options", Origins::Any));
    let answer = account.anonymous("OPTIONS", "/contacts").send().await.expect(204);
    assert!(answer.header("allow").contains("POST"));
    assert_eq!(answer.header("access-control-allow-methods"), "");
    account.anonymous("OPTIONS", "/nope").send().await.expect_error(404, "route_not_found");
}
