//! `/docs`: the page and its files. Whether a browser makes something of them is seen in `tests/reference`.

use crate::support::{Account, Answer, Server};

async fn get(path: &str) -> Answer {
    Account::new().await.anonymous("GET", path).send().await
}

/// The value of a directive of the page's policy.
fn directive<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let directives = answer.header("content-security-policy").split("; ");
    directives
        .filter_map(|directive| directive.split_once(' '))
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn is_a_page_with_all_its_files() {
    let page = get("/docs").await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let files: Vec<_> = page.text.split("\"docs/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let answer = get(&format!("/docs/{file}")).await.expect(200);
        assert_ne!(answer.text, "", "{file}");
        assert_ne!(answer.header("content-type"), "text/plain", "{file}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{file}");
    }
    assert!(!page.text.contains("//"), "the page names another host");
}

#[tokio::test]
async fn allows_itself_as_little_as_it_needs() {
    for path in ["/docs", "/docs/page.js"] {
        let answer = get(path).await.expect(200);
        for (name, value) in [
            ("default-src", "'none'"),
            ("script-src", "'self'"),
            ("style-src", "'self'"),
            ("connect-src", "'self'"),
            ("base-uri", "'none'"),
            ("form-action", "'none'"),
            ("frame-ancestors", "'none'"),
        ] {
            assert_eq!(directive(&answer, name), Some(value), "{path} {name}");
        }
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
}

#[tokio::test]
async fn is_fetched_once() {
    let account = Account::new().await;
    for path in ["/docs", "/docs/swagger-ui-bundle.js"] {
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
async fn has_nothing_else() {
    let account = Account::new().await;
    for path in ["/docs/", "/docs/nope.js", "/docs/swagger-initializer.js", "/docs/..%2fpage.js", "/docs/page.js/"] {
        account.anonymous("GET", path).send().await.expect_error(404, "route_not_found");
    }
    account.anonymous("GET", "/docs/%ff").send().await.expect_error(404, "not_found");
    let refused = account.anonymous("POST", "/docs").send().await.expect_error(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn can_be_turned_off() {
    let server = Server::on_own_database("without_docs", |settings| settings.docs_enabled = false);
    let account = Account::on(&server);
    for path in ["/docs", "/docs/page.js"] {
        account.anonymous("GET", path).send().await.expect_error(404, "route_not_found");
    }
    account.anonymous("GET", "/openapi.json").send().await.expect(200);
}
