//! Where a set of keys comes from: a URL or a file. Bounded in time and size, whatever is there.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::config::{KeySetSource, Secret};
use crate::outward;

/// The largest set that is read, in bytes. Those of large issuers have some 20 kB.
const MAX_BYTES: usize = 1024 * 1024;
/// After which a fetch is given up, the body included.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(3);
const MAX_REDIRECTS: usize = 3;

/// Why there is no set. For the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreachable(String);

/// Where a set of keys comes from.
pub(super) enum Source {
    Url(Secret),
    File(PathBuf),
}

impl Source {
    pub(super) fn new(settings: &KeySetSource) -> Self {
        match settings {
            KeySetSource::Url(url) => Self::Url(url.clone()),
            KeySetSource::File(path) => Self::File(path.clone()),
        }
    }

    /// The document that is there now.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn read(&self) -> Result<Vec<u8>, Unreachable> {
        match self {
            Self::Url(url) => fetch(url).await,
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
                read.unwrap_or_else(|_| Err(Unreachable("the file can't be read".to_owned())))
            }
        }
    }
}

/// A set in a file.
///
/// # Errors
/// A file that can't be read, or is too large.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Unreachable> {
    let unreadable = |error: std::io::Error| Unreachable(format!("the file can't be read: {error}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut document = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut document).map_err(unreadable)?;
    if document.len() > MAX_BYTES { Err(too_large()) } else { Ok(document) }
}

async fn fetch(url: &Secret) -> Result<Vec<u8>, Unreachable> {
    // Made anew: a fetch is rare, and no connection or certificate that has ended is kept in between. To read the
    // certificates of the machine takes a while.
    let is_https = reqwest::Url::parse(url.expose()).is_ok_and(|url| url.scheme() == "https");
    let client = tokio::task::spawn_blocking(move || client(is_https)).await;
    let client = client.unwrap_or_else(|_| Err(Unreachable("there is no client for it".to_owned())))?;
    let mut response = client.get(url.expose()).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(Unreachable(format!("it answered {}", response.status())));
    }
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if document.len() + chunk.len() > MAX_BYTES {
            return Err(too_large());
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// With `https_only` no redirect leads to where anyone on the way could put in keys.
fn client(https_only: bool) -> Result<Client, Unreachable> {
    let bounded = |builder: ClientBuilder| {
        let builder = builder.https_only(https_only).redirect(Policy::limited(MAX_REDIRECTS));
        builder.timeout(PATIENCE).connect_timeout(PATIENCE_TO_CONNECT)
    };
    outward::client(bounded).map_err(failed)
}

fn failed(error: reqwest::Error) -> Unreachable {
    Unreachable(outward::reason(error))
}

fn too_large() -> Unreachable {
    Unreachable(format!("it is larger than {MAX_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_by_https_come_by_nothing_else() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let refused = client(true).expect("a client").get(url).send().await.expect_err("refused");
        assert!(refused.is_builder(), "{refused:?}");
        listener.set_nonblocking(true).expect("set");
        assert!(listener.accept().is_err(), "it was asked");
    }
}
