//! Reads the document of a key set from a URL or a file, with limits on time and size.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::config::{KeySetSource, Secret};
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

/// Reads the current document from its source.
///
/// # Errors
/// Fails if the source is unreachable, responds with an error status, exceeds a time limit, or returns more than
/// [`MAX_BYTES`].
pub(super) async fn read_document(source: &KeySetSource) -> Result<Vec<u8>, KeySetReadError> {
    match source {
        KeySetSource::Url(url) => fetch(url).await,
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

async fn fetch(url: &Secret) -> Result<Vec<u8>, KeySetReadError> {
    // Each fetch builds a new client, so that no stale connection or certificate is reused. Fetches are rare.
    // Building a client blocks, because it reads the certificates of the machine.
    let is_https = reqwest::Url::parse(url.expose()).is_ok_and(|url| url.scheme() == "https");
    let client = tokio::task::spawn_blocking(move || build_client(is_https)).await;
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
/// insert keys.
fn build_client(https_only: bool) -> Result<Client, KeySetReadError> {
    let with_limits = |builder: ClientBuilder| {
        let builder = builder.https_only(https_only).redirect(Policy::limited(MAX_REDIRECTS));
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
        let error = build_client(true).expect("a client").get(url).send().await.expect_err("an error");
        assert!(error.is_builder(), "{error:?}");
        listener.set_nonblocking(true).expect("a non-blocking listener");
        assert!(listener.accept().is_err(), "the client connected over plain HTTP");
    }
}
