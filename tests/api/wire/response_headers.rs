//! The headers of responses without a body, in HTTP/1.1 and HTTP/2: `HEAD`, 304 and 204.

use axum::http::{HeaderMap, Method, Request, StatusCode};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use crate::support::Account;

/// An HTTP/2 connection of an account.
struct Http2Client {
    account: Account,
    connection: SendRequest<String>,
}

impl Http2Client {
    async fn connect(account: &Account) -> Self {
        let stream = tokio::net::TcpStream::connect(account.server.address).await.unwrap();
        let (connection, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        Self { account: account.clone(), connection }
    }

    async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap) {
        let method: Method = method.parse().unwrap();
        let mut request = Request::builder().method(method).uri(format!("http://x{path}"));
        request = request.header("authorization", format!("Bearer {}", self.account.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.connection.send_request(request.body(String::new()).unwrap()).await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    }
}

/// Sends a request with HTTP/1.1.
async fn send_http1(account: &Account, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap) {
    let call = headers.iter().fold(account.call(method, path), |call, (name, value)| call.header(name, value));
    let response = call.send().await;
    (response.status, response.headers)
}

/// Returns headers without those that differ between two equal requests.
fn stable(mut headers: HeaderMap) -> HeaderMap {
    headers.remove("date");
    headers.remove("x-request-id");
    headers
}

#[tokio::test]
async fn not_modified_and_no_content_responses_have_no_content_length() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let mut http2 = Http2Client::connect(&account).await;
    for path in [&*format!("/contacts/{id}?properties=phone"), "/docs", "/openapi.json"] {
        let (_, full) = send_http1(&account, "GET", path, &[]).await;
        let tag = full["etag"].to_str().unwrap();
        assert!(tag.starts_with('"'), "a strong tag: {tag}");
        for method in ["GET", "HEAD"] {
            for known in [tag, "*"] {
                let known = [("if-none-match", known)];
                let results =
                    [send_http1(&account, method, path, &known).await, http2.send(method, path, &known).await];
                for (status, headers) in results {
                    assert_eq!(status, StatusCode::NOT_MODIFIED, "{method} {path}");
                    assert_eq!(headers.get("content-length"), None, "{method} {path}");
                    assert_eq!(headers.get("transfer-encoding"), None, "{method} {path}");
                    for name in ["etag", "cache-control"] {
                        assert_eq!(headers.get(name), full.get(name), "{method} {path} {name}");
                    }
                    // A 304 does not know whether the contact is large enough to be compressed.
                    let vary = full.get("vary").or(headers.get("vary"));
                    assert_eq!(headers.get("vary"), vary, "{method} {path}");
                }
            }
        }
    }
    let purge = format!("/contacts/{id}/purge");
    let dry_run = format!("{purge}?dry_run=true");
    for (method, path) in [("OPTIONS", "/contacts"), ("POST", &dry_run)] {
        for (status, headers) in [send_http1(&account, method, path, &[]).await, http2.send(method, path, &[]).await] {
            assert_eq!((status, headers.get("content-length")), (204, None), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn head_has_the_status_and_headers_of_get() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let mut http2 = Http2Client::connect(&account).await;
    for path in [
        &*format!("/contacts/{id}"),
        "/contacts/x?id_property=external_id&properties=phone,version",
        "/contacts/nope",
        "/contacts?limit=nope",
        "/contacts",
        "/contacts/",
        "/contacts/changes",
        "/contacts/changes?after=nope",
        &format!("/contacts/{id}/history"),
        "/fields",
        "/fields/email",
        "/fields/nope",
        "/openapi.json",
        "/docs",
        "/docs/page.js",
        "/healthz",
        "/readyz",
        "/nowhere",
    ] {
        let (get_status, get_headers) = send_http1(&account, "GET", path, &[]).await;
        let (head_status, head_headers) = send_http1(&account, "HEAD", path, &[]).await;
        assert_eq!((get_status, stable(get_headers)), (head_status, stable(head_headers)), "{path}");
        let (get_status, get_headers) = http2.send("GET", path, &[]).await;
        let (head_status, head_headers) = http2.send("HEAD", path, &[]).await;
        assert_eq!((get_status, stable(get_headers)), (head_status, stable(head_headers)), "HTTP/2 {path}");
    }
}
