//! `/metrics` as a route. `tests/cli/metrics.rs` checks the values of the metrics, in a process of its own.

use crate::support::Account;

#[tokio::test]
async fn metrics_are_served_in_the_prometheus_format_without_authentication() {
    let account = Account::new().await;
    let response = account.anonymous("GET", "/metrics").header("x-request-id", "scrape-1").send().await.expect(200);
    assert_eq!(response.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(response.header("x-request-id"), "scrape-1");
    assert!(response.text.contains("# TYPE contacts_queue_batch_size histogram"), "{}", response.text);
    // An invalid token changes nothing, because the route ignores tokens.
    account.with_token("nonsense").get("/metrics").await.expect(200);
    assert_eq!(account.anonymous("HEAD", "/metrics").send().await.expect(200).text, "");
    let refused = account.anonymous("POST", "/metrics").send().await.expect_error(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD");
    account.anonymous("GET", "/metrics?x=%ff").send().await.expect_error(400, "invalid_query");
    account.anonymous("GET", "/metrics/").send().await.expect_error(404, "route_not_found");
}
