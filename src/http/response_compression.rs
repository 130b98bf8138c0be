//! Compression of responses (`docs/api-reference.md#requests-and-responses`).
//!
//! A response is compressed before it is sent, so it has a `Content-Length`, and `HEAD` has the headers of `GET`. This is
//! a function and not a layer, because a layer would cost every small response a further boxed body.

use std::convert::Infallible;
use std::io;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::buffered_body::BufferedBody;
use super::content_coding::{ResponseCoding, tag_with_coding};
use crate::fair_semaphore::FairSemaphore;

/// Smaller responses are not compressed: they fit into one network packet.
const MIN_COMPRESSED_BYTES: usize = 1024;
/// Larger bodies are compressed on a thread for blocking work, so that they do not delay other requests.
const MAX_INLINE_BYTES: usize = 64 * 1024;

/// The coding that the client prefers for the response. `None`: the response is not compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PreferredCoding(pub(super) Option<ResponseCoding>);

impl<S: Send + Sync> FromRequestParts<S> for PreferredCoding {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

impl PreferredCoding {
    /// Reads the headers of a request.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        Self(ResponseCoding::from_headers(headers))
    }

    /// Completes a response: sets its body, compressed if it is large enough and the client accepts a coding. A
    /// compressed response has its own entity tag.
    pub(super) async fn complete(self, mut response: Response, computations: &FairSemaphore) -> Response {
        let is_not_modified = response.status() == StatusCode::NOT_MODIFIED;
        let is_compressed = response.headers().contains_key(header::CONTENT_ENCODING);
        if is_not_modified || is_compressed || is_compressible(&response) {
            response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
            if let Some(coding) = self.0.filter(|_| !is_not_modified) {
                if !is_compressed && let Err(error) = compress_body(&mut response, coding, computations).await {
                    tracing::error!(%error, "a response could not be compressed");
                    return StatusCode::INTERNAL_SERVER_ERROR.into_response();
                }
                add_coding_to_tag(response.headers_mut(), coding);
            }
        }
        if let Some(large_body) = BufferedBody::take_from(&mut response) {
            *response.body_mut() = large_body.into();
        }
        response
    }
}

/// Replaces the body of a response by a compressed body.
async fn compress_body(
    response: &mut Response,
    coding: ResponseCoding,
    computations: &FairSemaphore,
) -> io::Result<()> {
    let body = match BufferedBody::take_from(response) {
        Some(large_body) => large_body,
        None => {
            let body = std::mem::take(response.body_mut());
            axum::body::to_bytes(body, usize::MAX).await.map_err(io::Error::other)?.into()
        }
    };
    let turn = match body.permit() {
        Some(permit) => Some(computations.acquire(permit.account(), 1).await),
        None => None,
    };
    let compressed = compress(body, coding).await?;
    drop(turn);
    compressed.set_in(response);
    set_content_encoding(response.headers_mut(), coding);
    Ok(())
}

/// Compresses a body. Each of its chunks is dropped when it is compressed.
///
/// # Errors
/// Fails if the encoder has no memory, or if the runtime is stopping.
pub(super) async fn compress(mut body: BufferedBody, coding: ResponseCoding) -> io::Result<BufferedBody> {
    let length = body.length();
    let compress = move || {
        let compressed = coding.encode(length, std::iter::from_fn(|| body.pop_chunk()))?;
        Ok(body.with_buffer(compressed))
    };
    if length <= MAX_INLINE_BYTES { compress() } else { tokio::task::spawn_blocking(compress).await? }
}

/// Returns whether content of this type and size is compressed.
pub(super) fn is_worth_compressing(content_type: &str, bytes: usize) -> bool {
    bytes >= MIN_COMPRESSED_BYTES && (content_type.starts_with("application/json") || content_type.starts_with("text/"))
}

/// Declares the coding of a body, and removes the length of the plain body.
pub(super) fn set_content_encoding(headers: &mut HeaderMap, coding: ResponseCoding) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    headers.remove(header::CONTENT_LENGTH);
}

fn is_compressible(response: &Response<Body>) -> bool {
    let size = BufferedBody::length_in(response).unwrap_or(0);
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    is_worth_compressing(content_type.unwrap_or_default(), size)
}

fn add_coding_to_tag(headers: &mut HeaderMap, coding: ResponseCoding) {
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag_with_coding(tag, coding)).ok()) {
        headers.insert(header::ETAG, tag);
    }
}
