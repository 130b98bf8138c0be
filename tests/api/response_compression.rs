//! Compressed responses (`docs/api-reference.md#requests-and-responses`).

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::Account;

const CODINGS: [&str; 2] = ["gzip", "zstd"];

/// A response whose body is not decoded.
struct RawResponse {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl RawResponse {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns whether some `Vary` names `Accept-Encoding`.
    fn varies(&self) -> bool {
        self.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains("accept-encoding"))
    }

    fn decoded(&self) -> Vec<u8> {
        match self.header("content-encoding") {
            "gzip" => {
                let mut decoded = vec![];
                GzDecoder::new(&*self.bytes).read_to_end(&mut decoded).unwrap();
                decoded
            }
            "zstd" => zstd::stream::decode_all(&*self.bytes).unwrap(),
            _ => self.bytes.clone(),
        }
    }

    /// Returns the headers that GET and HEAD must have in common.
    fn stable_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        for name in ["date", "x-request-id"] {
            headers.remove(name);
        }
        headers
    }
}

async fn send(account: &Account, method: &str, path: &str, headers: &[(&str, &str)]) -> RawResponse {
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let url = format!("http://{}{path}", account.server.address);
    let mut request = client.request(method.parse().unwrap(), url).bearer_auth(&account.token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    RawResponse { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
}

/// Creates a contact whose response has more than 1 KiB, and returns its path.
async fn large_contact(account: &Account) -> String {
    account.define(json!({"label": "note", "type": "text"})).await;
    let id = account.create(json!({"first_name": "A", "note": "lorem ".repeat(400)})).await;
    format!("/contacts/{id}?properties=note")
}

#[tokio::test]
async fn large_response_is_compressed_when_requested() {
    let account = Account::new().await;
    let contact = large_contact(&account).await;
    let metrics = "/metrics".to_owned();
    for path in [contact, "/contacts?properties=note".into(), "/fields".into(), "/docs/page.js".into(), metrics] {
        let plain = send(&account, "GET", &path, &[]).await;
        assert!(plain.bytes.len() >= 1024, "{path}");
        assert_eq!((plain.header("content-encoding"), plain.varies()), ("", true), "{path}");
        for coding in CODINGS {
            let coded = send(&account, "GET", &path, &[("accept-encoding", coding)]).await;
            assert_eq!((coded.status, coded.header("content-encoding"), coded.varies()), (200, coding, true), "{path}");
            assert_eq!(coded.header("content-length"), coded.bytes.len().to_string(), "{path}");
            assert!(coded.bytes.len() < plain.bytes.len());
            assert_eq!(coded.header("content-type"), plain.header("content-type"));
            if path != "/metrics" {
                assert_eq!(coded.decoded(), plain.bytes, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn small_response_and_unrequested_coding_are_not_compressed() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let small = send(&account, "GET", &format!("/contacts/{id}"), &[("accept-encoding", "gzip, zstd")]).await;
    assert!(small.bytes.len() < 1024);
    assert_eq!((small.header("content-encoding"), small.header("vary")), ("", ""));
    for accepted in ["", "identity", "br", "deflate", "gzip;q=0", "*;q=0"] {
        let plain = send(&account, "GET", "/fields", &[("accept-encoding", accepted)]).await;
        assert_eq!((plain.header("content-encoding"), plain.varies()), ("", true), "{accepted}");
        assert!(serde_json::from_slice::<Value>(&plain.bytes).is_ok());
    }
    // An image is compressed already.
    let image = send(&account, "GET", "/docs/icon.svg", &[("accept-encoding", "gzip")]).await;
    assert_eq!(image.header("content-encoding"), "");
}

#[tokio::test]
async fn coding_with_the_highest_weight_is_used() {
    let account = Account::new().await;
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0.1", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *;q=0.5", "gzip"),
    ] {
        let response = send(&account, "GET", "/fields", &[("accept-encoding", accepted)]).await;
        assert_eq!(response.header("content-encoding"), coding, "{accepted}");
    }
}

#[tokio::test]
async fn large_error_response_is_compressed() {
    let account = Account::new().await;
    let names: Vec<_> = (0..50).map(|number| format!("nope_{number}")).collect();
    let path = format!("/contacts?properties={}", names.join(","));
    let refused = send(&account, "GET", &path, &[("accept-encoding", "gzip")]).await;
    assert_eq!((refused.status, refused.header("content-encoding")), (400, "gzip"));
    let body: Value = serde_json::from_slice(&refused.decoded()).unwrap();
    assert_eq!(body["details"].as_array().unwrap().len(), 50);
    let head = send(&account, "HEAD", &path, &[("accept-encoding", "gzip")]).await;
    assert_eq!((head.status, head.header("content-encoding"), head.bytes.len()), (400, "gzip", 0));
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let account = Account::new().await;
    let contact = large_contact(&account).await;
    for path in [&*contact, "/fields", "/contacts", "/docs", "/docs/page.js", "/openapi.json"] {
        for accepted in ["identity", "gzip", "zstd"] {
            let get = send(&account, "GET", path, &[("accept-encoding", accepted)]).await;
            let head = send(&account, "HEAD", path, &[("accept-encoding", accepted)]).await;
            assert_eq!(head.bytes.len(), 0);
            assert_eq!(head.stable_headers(), get.stable_headers(), "{path} {accepted}");
        }
    }
}

#[tokio::test]
async fn compressed_response_has_its_own_etag_which_is_accepted_everywhere() {
    let account = Account::new().await;
    let contact = large_contact(&account).await;
    for path in [&*contact, "/openapi.json", "/docs/page.js"] {
        let plain = send(&account, "GET", path, &[]).await.header("etag").to_owned();
        assert!(plain.starts_with('"'), "{plain}");
        for coding in CODINGS {
            let accept = ("accept-encoding", coding);
            let tag = send(&account, "GET", path, &[accept]).await.header("etag").to_owned();
            assert_ne!(tag, plain);
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
            let fresh = send(&account, "GET", path, &[accept, ("if-none-match", &tag)]).await;
            assert_eq!((fresh.status, fresh.header("etag"), fresh.varies()), (304, &*tag, true));
            let weak = send(&account, "GET", path, &[accept, ("if-none-match", &format!("\"x\", W/{tag}"))]).await;
            assert_eq!((weak.status, weak.header("etag")), (304, &*tag));
        }
    }
    let tag = send(&account, "GET", &contact, &[("accept-encoding", "gzip")]).await.header("etag").to_owned();
    let (id, _) = contact.trim_start_matches("/contacts/").split_once('?').unwrap();
    let patch = |tag: &str| {
        let call = account.call("PATCH", &format!("/contacts/{id}")).header("if-match", tag);
        call.json(&json!({"fields": {"first_name": "B"}})).send()
    };
    patch(&tag).await.expect(200);
    patch(&tag).await.expect_error(412, "precondition_failed");
}

#[tokio::test]
async fn openapi_document_of_an_account_varies_by_token_and_coding() {
    let account = Account::new().await;
    account.define(json!({"label": "tier", "type": "text"})).await;
    for coding in CODINGS {
        let document = send(&account, "GET", "/openapi.json", &[("accept-encoding", coding)]).await;
        let vary: Vec<_> = document.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!((document.header("content-encoding"), vary), (coding, vec!["authorization", "accept-encoding"]));
        let body: Value = serde_json::from_slice(&document.decoded()).unwrap();
        assert!(body["components"]["schemas"]["ContactFields"]["properties"]["tier"].is_object());
    }
}

#[tokio::test]
async fn write_and_its_replay_are_compressed() {
    let account = Account::new().await;
    account.define(json!({"label": "note", "type": "text"})).await;
    let note = "lorem ".repeat(400);
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    for replayed in [false, true] {
        let url = format!("http://{}/contacts?properties=note", account.server.address);
        let request = client.post(url).bearer_auth(&account.token).header("idempotency-key", "k");
        let body = json!({"fields": {"first_name": "A", "note": note}});
        let response = request.header("accept-encoding", "zstd").json(&body).send().await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()["content-encoding"]),
            (reqwest::StatusCode::CREATED, &"zstd".parse().unwrap())
        );
        assert_eq!(response.headers().contains_key("idempotency-replayed"), replayed);
        let decoded = zstd::stream::decode_all(&*response.bytes().await.unwrap()).unwrap();
        let contact: Value = serde_json::from_slice(&decoded).unwrap();
        assert_eq!(contact["note"], note);
    }
}
