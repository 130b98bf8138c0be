//! `/metrics`: a route like others. What it tells is looked at in `tests/cli/metrics.rs`, in a process of its own.

use crate::support::Account;

#[tokio::test]
async fn is_told_to_anyone_as_prometheus_reads_it() {
    let account = Account::new().await;
    let answer = account.anonymous("GET", "/metrics").header("x-request-id", "scrape-1").send().await.expect(200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-request-id"), "scrape-1");
    assert!(answer.text.contains("# TYPE contacts_queue_batch_size histogram"), "{}", answer.text);
    // With a token that is not good, too: none is asked for.
    account.with_token("nonsense").get("/metrics").await.expect(200);
    assert_eq!(account.anonymous("HEAD", "/metrics").send().await.expect(200).text, "");
    let refused = account.anonymous("POST", "/metrics").send().await.expect_error(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD");
    account.anonymous("GET", "/metrics?x=%ff").send().await.expect_error(400, "invalid_query");
    account.anonymous("GET", "/metrics/").send().await.expect_error(404, "route_not_found");
}
