//! `/docs`: the page and its files. `tests/reference` checks that a browser renders them.

use crate::support::{Account, ApiResponse, Server};

async fn get(path: &str) -> ApiResponse {
    Account::new().await.anonymous("GET", path).send().await
}

/// Returns the value of a directive of the `Content-Security-Policy` header.
fn directive<'a>(response: &'a ApiResponse, name: &str) -> Option<&'a str> {
    let directives = response.header("content-security-policy").split("; ");
    directives
        .filter_map(|directive| directive.split_once(' '))
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn docs_page_links_only_own_files_and_all_are_served() {
    let page = get("/docs").await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let files: Vec<_> = page.text.split("\"docs/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let response = get(&format!("/docs/{file}")).await.expect(200);
        assert_ne!(response.text, "", "{file}");
        assert_ne!(response.header("content-type"), "text/plain", "{file}");
        assert_eq!(response.header("x-content-type-options"), "nosniff", "{file}");
    }
    assert!(!page.text.contains("//"), "the page refers to another host");
}

#[tokio::test]
async fn content_security_policy_of_docs_allows_only_own_files() {
    for path in ["/docs", "/docs/page.js"] {
        let response = get(path).await.expect(200);
        for (name, value) in [
            ("default-src", "'none'"),
            ("script-src", "'self'"),
            ("style-src", "'self' 'unsafe-inline'"),
            ("connect-src", "'self'"),
            ("base-uri", "'none'"),
            ("form-action", "'none'"),
            ("frame-ancestors", "'none'"),
        ] {
            assert_eq!(directive(&response, name), Some(value), "{path} {name}");
        }
        assert_eq!(response.header("referrer-policy"), "no-referrer");
    }
}

#[tokio::test]
async fn docs_with_a_matching_if_none_match_are_304() {
    let account = Account::new().await;
    for path in ["/docs", "/docs/scalar.js"] {
        let first = account.anonymous("GET", path).send().await.expect(200);
        assert_eq!(first.header("cache-control"), "no-cache");
        let again = account.anonymous("GET", path).header("if-none-match", first.header("etag")).send().await;
        assert_eq!((again.status, again.text.as_str(), again.etag()), (304, "", first.etag()), "{path}");
        account.anonymous("GET", path).header("if-none-match", "\"other\"").send().await.expect(200);
        let head = account.anonymous("HEAD", path).send().await.expect(200);
        assert_eq!((head.text.as_str(), head.etag()), ("", first.etag()));
        assert_eq!(head.header("content-length"), first.text.len().to_string());
    }
}

#[tokio::test]
async fn unknown_docs_path_is_404_and_post_is_405() {
    let account = Account::new().await;
    for path in ["/docs/", "/docs/nope.js", "/docs/standalone.js", "/docs/..%2fpage.js", "/docs/page.js/"] {
        account.anonymous("GET", path).send().await.expect_error(404, "route_not_found");
    }
    account.anonymous("GET", "/docs/%ff").send().await.expect_error(404, "not_found");
    let refused = account.anonymous("POST", "/docs").send().await.expect_error(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn docs_are_404_when_disabled() {
    let server = Server::with_own_database("without_docs", |settings| settings.docs_enabled = false);
    let account = Account::on_server(&server);
    for path in ["/docs", "/docs/page.js"] {
        account.anonymous("GET", path).send().await.expect_error(404, "route_not_found");
    }
    account.anonymous("GET", "/openapi.json").send().await.expect(200);
}
