//! Reads the document of a key set from a URL or a file, with limits on time and size.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder};

use crate::config::{KeySetSource, Secret, is_https_or_loopback};
use crate::http_client;

/// The maximum size of a document, in bytes. The key sets of large issuers have about 20 kB.
const MAX_BYTES: usize = 1024 * 1024;
/// The time limit for a fetch, including the body.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_REDIRECTS: usize = 3;

/// The error for a document that could not be read. The text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct KeySetReadError(String);

/// Reads the current document from its source. With `allows_http`, a URL may redirect to plain HTTP on other machines,
/// unless it is `https` itself.
///
/// # Errors
/// Fails if the source is unreachable, responds with an error status, exceeds a time limit, or returns more than
/// [`MAX_BYTES`].
pub(super) async fn read_document(source: &KeySetSource, allows_http: bool) -> Result<Vec<u8>, KeySetReadError> {
    match source {
        KeySetSource::Url(url) => fetch(url, allows_http).await,
        KeySetSource::File(path) => {
            let path = path.clone();
            let outcome = tokio::task::spawn_blocking(move || read_file(&path)).await;
            outcome.unwrap_or_else(|_| Err(KeySetReadError("cannot read the file".to_owned())))
        }
    }
}

/// Reads a document from a file. Blocks.
///
/// # Errors
/// Fails if the file cannot be read or is larger than [`MAX_BYTES`].
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, KeySetReadError> {
    let unreadable = |error: std::io::Error| KeySetReadError(format!("cannot read the file: {error}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut document = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut document).map_err(unreadable)?;
    if document.len() > MAX_BYTES { Err(too_large()) } else { Ok(document) }
}

async fn fetch(url: &Secret, allows_http: bool) -> Result<Vec<u8>, KeySetReadError> {
    // Each fetch builds a new client, so that no stale connection or certificate is reused. Fetches are rare.
    // Building a client blocks, because it reads the certificates of the machine.
    let is_https = reqwest::Url::parse(url.expose()).is_ok_and(|url| url.scheme() == "https");
    let client = tokio::task::spawn_blocking(move || build_client(is_https, allows_http)).await;
    let client = client.unwrap_or_else(|_| Err(KeySetReadError("cannot create an HTTP client".to_owned())))?;
    let mut response = client.get(url.expose()).send().await.map_err(request_failed)?;
    if !response.status().is_success() {
        return Err(KeySetReadError(format!("the issuer responded with status {}", response.status())));
    }
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(request_failed)? {
        if document.len() + chunk.len() > MAX_BYTES {
            return Err(too_large());
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// Builds a client. With `https_only`, it follows no redirect to plain HTTP, where anyone on the network path could
/// insert keys. Without `allows_http`, it follows a redirect to plain HTTP only on this machine.
fn build_client(https_only: bool, allows_http: bool) -> Result<Client, KeySetReadError> {
    let redirect = move |attempt: Attempt<'_>| {
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirects")
        } else if !allows_http && !is_https_or_loopback(attempt.url().as_str()) {
            attempt.error("a redirect leads to a URL that is not https")
        } else {
            attempt.follow()
        }
    };
    let with_limits = |builder: ClientBuilder| {
        let builder = builder.https_only(https_only).redirect(Policy::custom(redirect));
        builder.timeout(READ_TIMEOUT).connect_timeout(CONNECT_TIMEOUT)
    };
    http_client::build(with_limits).map_err(request_failed)
}

fn request_failed(error: reqwest::Error) -> KeySetReadError {
    KeySetReadError(http_client::describe_error(error))
}

fn too_large() -> KeySetReadError {
    KeySetReadError(format!("the document is larger than {MAX_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn https_only_client_sends_no_plain_http_request() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let error = build_client(true, true).expect("a client").get(url).send().await.expect_err("an error");
        assert!(error.is_builder(), "{error:?}");
        listener.set_nonblocking(true).expect("a non-blocking listener");
        assert!(listener.accept().is_err(), "the client connected over plain HTTP");
    }

    #[tokio::test]
    async fn redirect_to_plain_http_on_another_machine_is_followed_only_if_allowed() {
        use std::io::Write as _;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut connection, _) = listener.accept().expect("a connection");
                let _ = connection.read(&mut [0; 1_024]).expect("a request");
                // Port 9 of an address for documentation, which nobody uses (RFC 5737).
                let head = "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                connection.write_all(head.as_bytes()).expect("a response");
            }
        });
        let refused = build_client(false, false).expect("a client").get(&url).send().await.expect_err("an error");
        assert!(refused.is_redirect(), "{refused:?}");
        let followed = build_client(false, true).expect("a client").get(&url).send().await.expect_err("an error");
        assert!(!followed.is_redirect(), "{followed:?}");
        server.join().expect("the server ends");
    }
}
