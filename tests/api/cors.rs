//! `CORS_ALLOWED_ORIGINS`: the origins whose pages may call the API from a browser.

use contacts::config::AllowedOrigins;
use serde_json::json;

use crate::support::{Account, ApiResponse, Server};

const ALLOWED_ORIGIN: &str = "https://app.example.com";

fn server_with_origins(name: &str, origins: AllowedOrigins) -> Server {
    Server::with_own_database(name, |settings| settings.cors = Some(origins.clone()))
}

/// Splits the value of a comma-separated header into lower-case names.
fn header_list(response: &ApiResponse, header: &str) -> Vec<String> {
    response.header(header).split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[tokio::test]
async fn preflight_needs_no_token_and_lists_the_allowed_methods_and_headers() {
    let server = server_with_origins(
        "cors_preflight",
        AllowedOrigins::List(vec![ALLOWED_ORIGIN.into(), "http://localhost:3000".into()]),
    );
    let account = Account::on_server(&server);
    for (path, origin) in
        [("/contacts/x", ALLOWED_ORIGIN), ("/contacts", "http://localhost:3000"), ("/fields", ALLOWED_ORIGIN)]
    {
        let response = account
            .anonymous("OPTIONS", path)
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,content-type,idempotency-key")
            .send()
            .await;
        assert_eq!((response.status, &*response.text), (204, ""));
        assert!(response.header("allow").contains("GET"), "{path}: {}", response.header("allow"));
        assert_eq!(response.header("access-control-allow-origin"), origin);
        assert_eq!(response.header("access-control-max-age"), "7200");
        for method in ["get", "post", "patch", "put", "delete"] {
            assert!(
                header_list(&response, "access-control-allow-methods").iter().any(|allowed| allowed == method),
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
                header_list(&response, "access-control-allow-headers").iter().any(|allowed| allowed == header),
                "{header}"
            );
        }
        assert_eq!(response.header("x-request-id").len(), 36);
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert!(header_list(&response, "vary").contains(&"origin".to_owned()));
    }
    let unknown_path = account.anonymous("OPTIONS", "/nope").header("origin", ALLOWED_ORIGIN);
    let unknown_path = unknown_path.header("access-control-request-method", "GET").send().await;
    unknown_path.expect_error(404, "route_not_found");
}

#[tokio::test]
async fn responses_and_errors_carry_cors_headers_for_the_allowed_origins_only() {
    let account =
        Account::on_server(&server_with_origins("cors_answers", AllowedOrigins::List(vec![ALLOWED_ORIGIN.into()])));
    let from = |origin: &'static str, method: &str, path: &str| account.call(method, path).header("origin", origin);
    let created = from(ALLOWED_ORIGIN, "POST", "/contacts")
        .json(&json!({"fields": {"first_name": "A"}}))
        .send()
        .await
        .expect(201);
    for header in ["etag", "location", "x-request-id", "retry-after", "ratelimit-remaining", "idempotency-replayed"] {
        assert!(
            header_list(&created, "access-control-expose-headers").iter().any(|exposed| exposed == header),
            "{header}"
        );
    }
    for (response, status) in [
        (from(ALLOWED_ORIGIN, "GET", "/contacts").send().await, 200),
        (from(ALLOWED_ORIGIN, "GET", "/nope").send().await, 404),
        (from(ALLOWED_ORIGIN, "GET", "/contacts?limit=x").send().await, 400),
        (account.anonymous("GET", "/contacts").header("origin", ALLOWED_ORIGIN).send().await, 401),
        (from(ALLOWED_ORIGIN, "DELETE", "/fields").send().await, 405),
    ] {
        assert_eq!(
            (response.status, response.header("access-control-allow-origin")),
            (status, ALLOWED_ORIGIN),
            "{}",
            response.text
        );
        assert_eq!(response.header("access-control-allow-credentials"), "");
        assert!(header_list(&response, "vary").contains(&"origin".to_owned()));
    }
    for other in ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"] {
        let response = from(other, "GET", "/contacts").send().await.expect(200);
        assert_eq!(response.header("access-control-allow-origin"), "", "{other}");
    }
}

#[tokio::test]
async fn rate_limit_and_overload_responses_carry_cors_headers() {
    let server = Server::with_own_database("cors_overload", |settings| {
        settings.cors = Some(AllowedOrigins::Any);
        settings.limits.concurrent_requests = 1;
        settings.limits.rate_per_minute = std::num::NonZeroU32::new(1);
        settings.request_timeout = std::time::Duration::from_millis(1_000);
    });
    let account = Account::on_server(&server);
    account.get("/contacts").await.expect(200);
    let limited = account
        .call("GET", "/contacts")
        .header("origin", ALLOWED_ORIGIN)
        .send()
        .await
        .expect_error(429, "rate_limited");
    assert_eq!(limited.header("access-control-allow-origin"), "*");
    let other = Account::on_server(&server);
    let mut lock_holder = account.database().await;
    sqlx::query("BEGIN").execute(&mut lock_holder).await.unwrap();
    sqlx::query("LOCK TABLE contacts").execute(&mut lock_holder).await.unwrap();
    let call = |path: &'static str| other.call("GET", path).header("origin", ALLOWED_ORIGIN).send();
    let (slow, shed) = tokio::join!(call("/contacts"), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        call("/contacts").await
    });
    for response in [slow, shed] {
        let response = response.expect_error(503, "unavailable");
        assert_eq!(response.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn options_without_an_origin_is_answered_by_the_route() {
    let account = Account::on_server(&server_with_origins("cors_options", AllowedOrigins::Any));
    let response = account.anonymous("OPTIONS", "/contacts").send().await.expect(204);
    assert!(response.header("allow").contains("POST"));
    assert_eq!(response.header("access-control-allow-methods"), "");
    account.anonymous("OPTIONS", "/nope").send().await.expect_error(404, "route_not_found");
}
