//! Compressed request bodies (`docs/api-reference.md#requests-and-responses`).

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::write::BrotliEncoder;
use axum::body::{Bytes, HttpBody};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Frame;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::{Account, ApiRequest, ApiResponse, Server};

const MIB: usize = 1024 * 1024;
const CODINGS: [&str; 3] = ["gzip", "zstd", "br"];

async fn encode(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(vec![], Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::stream::encode_all(body, 3).unwrap(),
        _ => {
            let mut encoder = BrotliEncoder::new(vec![]);
            encoder.write_all(body).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }
    }
}

fn post(account: &Account, path: &str, coding: &str, body: Vec<u8>) -> ApiRequest {
    account.call("POST", path).header("content-encoding", coding).body("application/json", body)
}

/// Returns a contact that is padded with spaces to `size` bytes.
fn padded_contact(size: usize) -> Vec<u8> {
    let body = r#"{"fields": {"first_name": "A"}}"#;
    format!("{body}{}", " ".repeat(size - body.len())).into_bytes()
}

fn expect_unsupported(response: ApiResponse) {
    let response = response.expect_error(415, "unsupported_media_type");
    assert_eq!(response.header("accept-encoding"), "gzip, zstd, br");
}

#[tokio::test]
async fn compressed_body_is_decoded() {
    let account = Account::new().await;
    let body = json!({"fields": {"first_name": "Zoë", "last_name": "x".repeat(255)}}).to_string();
    for coding in ["gzip", "zstd", "br", "GZIP", "x-gzip"] {
        let bytes = encode(coding.to_ascii_lowercase().trim_start_matches("x-"), body.as_bytes()).await;
        let created = post(&account, "/contacts", coding, bytes).send().await.expect(201);
        assert_eq!(created.body["first_name"], "Zoë", "{coding}");
    }
    post(&account, "/contacts", "identity", body.into_bytes()).send().await.expect(201);
    // A body may consist of several gzip members or zstd frames (RFC 1952 §2.2, RFC 8878 §3.1).
    for coding in ["gzip", "zstd"] {
        let (start, end) = (encode(coding, b"{\"fields\": ").await, encode(coding, b"{\"first_name\": \"A\"}}").await);
        post(&account, "/contacts", coding, [start, end].concat()).send().await.expect(201);
    }
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 8);
}

#[tokio::test]
async fn every_route_with_a_body_decodes_it() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (method, path, body) in [
        ("PATCH", format!("/contacts/{id}"), json!({"fields": {"last_name": "B"}})),
        ("PUT", "/contacts/x?id_property=external_id".into(), json!({"fields": {"first_name": "B"}})),
        ("POST", "/contacts/search".into(), json!({"filters": []})),
        ("POST", "/contacts/batch/read".into(), json!({"inputs": [{"id": id}]})),
        ("POST", "/contacts/batch/create".into(), json!({"inputs": [{"fields": {"first_name": "B"}}]})),
        ("POST", "/fields".into(), json!({"label": "size", "type": "number"})),
        ("PATCH", "/fields/size".into(), json!({"label": "Size"})),
    ] {
        let bytes = encode("zstd", body.to_string().as_bytes()).await;
        let call = account.call(method, &path).header("content-encoding", "zstd").body("application/json", bytes);
        let response = call.send().await;
        assert!((200..300).contains(&response.status), "{method} {path}: {}", response.text);
    }
}

#[tokio::test]
async fn unknown_coding_and_several_codings_are_415() {
    let account = Account::new().await;
    let body = encode("gzip", &padded_contact(40)).await;
    for coding in ["deflate", "compress", "gzip, gzip", "identity, gzip", "gzip;q=1", "aws-chunked"] {
        expect_unsupported(post(&account, "/contacts", coding, body.clone()).send().await);
    }
    let twice = post(&account, "/contacts", "gzip", body.clone()).header("content-encoding", "zstd");
    expect_unsupported(twice.send().await);
    // The query is checked first, and routes without a body ignore the coding.
    let query = post(&account, "/contacts?limit=1", "deflate", body.clone()).send().await;
    query.expect_error(400, "invalid_query");
    let id = account.create(json!({"first_name": "A"})).await;
    post(&account, &format!("/contacts/{id}/restore"), "deflate", body).send().await.expect(200);
}

#[tokio::test]
async fn body_that_does_not_decode_is_400_invalid_body() {
    let account = Account::new().await;
    for coding in CODINGS {
        let valid = encode(coding, &padded_contact(100_000)).await;
        let truncated = valid[..valid.len() - 1].to_vec();
        for body in [b"{\"fields\": {\"first_name\": \"A\"}}".to_vec(), truncated] {
            post(&account, "/contacts", coding, body).send().await.expect_error(400, "invalid_body");
        }
    }
    // A wrong checksum.
    let mut changed = encode("gzip", &padded_contact(100)).await;
    let checksum = changed.len() - 8;
    changed[checksum] ^= 1;
    post(&account, "/contacts", "gzip", changed).send().await.expect_error(400, "invalid_body");
    // Windows of 1 GiB: Brotli's extension for large windows, and a zstd frame header.
    let large_brotli = vec![0x11, 0x1e, 0x03];
    let large_zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00];
    for (coding, body) in [("br", large_brotli), ("zstd", large_zstd)] {
        post(&account, "/contacts", coding, body).send().await.expect_error(400, "invalid_body");
    }
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 0);
}

#[tokio::test]
async fn size_limit_applies_to_the_decoded_body() {
    let account = Account::new().await;
    for coding in CODINGS {
        let largest = encode(coding, &padded_contact(MIB)).await;
        assert!(largest.len() < 10_000);
        post(&account, "/contacts", coding, largest).send().await.expect(201);
        for size in [MIB + 1, 64 * MIB] {
            let bomb = encode(coding, &vec![b' '; size]).await;
            post(&account, "/contacts", coding, bomb).send().await.expect_error(413, "payload_too_large");
        }
        let batch = encode(coding, &vec![b' '; 16 * MIB]).await;
        post(&account, "/contacts/batch/create", coding, batch).send().await.expect_error(400, "invalid_json");
    }
}

/// The limit also bounds the coded bytes: a stream that decodes to nothing must not be read for ever.
#[tokio::test]
async fn endless_body_that_decodes_to_nothing_is_413() {
    let account = Account::new().await;
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18][..], &(2 * MIB as u32).to_le_bytes(), &vec![0; 2 * MIB]].concat();
    let body = reqwest::Body::wrap(BodyWithoutLength(Some(skippable.into())));
    let call = account.call("POST", "/contacts").header("content-encoding", "zstd").body("application/json", body);
    call.send().await.expect_error(413, "payload_too_large");
}

/// A body whose length is not declared.
struct BodyWithoutLength(Option<Bytes>);

impl HttpBody for BodyWithoutLength {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[tokio::test]
async fn idempotency_key_is_bound_to_the_decoded_body() {
    let account = Account::new().await;
    let body = br#"{"fields": {"first_name": "A"}}"#;
    let with_key = |request: ApiRequest| request.header("idempotency-key", "k").send();
    let first = with_key(account.call("POST", "/contacts").body("application/json", body.to_vec())).await.expect(201);
    for coding in CODINGS {
        let again = with_key(post(&account, "/contacts", coding, encode(coding, body).await)).await.expect(201);
        assert_eq!((again.id(), again.header("idempotency-replayed")), (first.id(), "true"));
        let other = encode(coding, br#"{"fields": {"first_name": "B"}}"#).await;
        with_key(post(&account, "/contacts", coding, other)).await.expect_error(422, "idempotency_key_reused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_decoded_bodies_share_the_memory_for_bodies() {
    let server = Server::with_own_database("decoded_bodies", |settings| {
        settings.limits.buffered_body_bytes = 8 * MIB;
        settings.request_timeout = Duration::from_secs(30);
    });
    let account = Account::on_server(&server);
    let batch = format!(r#"{{"inputs": [{{"fields": {{"first_name": "A"}}}}]}}{}"#, " ".repeat(15 * MIB));
    let body = encode("zstd", batch.as_bytes()).await;
    let calls = (0..8).map(|_| {
        let (account, body) = (account.clone(), body.clone());
        tokio::spawn(async move { post(&account, "/contacts/batch/create", "zstd", body).send().await.status })
    });
    for call in calls.collect::<Vec<_>>() {
        let status = call.await.unwrap();
        assert!([200, 503].contains(&status), "{status}");
    }
    post(&account, "/contacts/batch/create", "zstd", body).send().await.expect(200);
}

#[tokio::test]
async fn token_request_is_decoded_by_the_same_rules() {
    let account = Account::new().await;
    let form = b"grant_type=client_credentials&client_id=client_x&client_secret=y";
    let send = |coding: &'static str, body: Vec<u8>| {
        let call = account.anonymous("POST", "/oauth2/token").header("content-encoding", coding);
        call.body("application/x-www-form-urlencoded", body).send()
    };
    for coding in CODINGS {
        let response = send(coding, encode(coding, form).await).await.expect(401);
        assert_eq!(response.body["error"], "invalid_client", "{}", response.text);
        let malformed = send(coding, form.to_vec()).await.expect(400);
        assert_eq!(malformed.body["error"], "invalid_request");
    }
    let unsupported = send("deflate", form.to_vec()).await.expect(415);
    assert_eq!(unsupported.header("accept-encoding"), "gzip, zstd, br");
    assert_eq!(unsupported.body["error"], "invalid_request");
}
