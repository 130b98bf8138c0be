//! Compression of responses (`docs/api-reference.md#requests-and-responses`).
//!
//! A response is compressed as a whole, so it has a `Content-Length`, and `HEAD` has the headers of `GET`. This is a
//! function and not a layer, because a layer would cost every small response a further boxed body.

use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::content_coding::{ResponseCoding, tag_with_coding};

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

    /// Compresses a response if it is large enough and the client accepts a coding. A compressed response has its own
    /// entity tag.
    pub(super) async fn compress(self, mut response: Response) -> Response {
        let is_not_modified = response.status() == StatusCode::NOT_MODIFIED;
        let is_compressed = response.headers().contains_key(header::CONTENT_ENCODING);
        if !is_not_modified && !is_compressed && !is_compressible(&response) {
            return response;
        }
        response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
        let Some(coding) = self.0.filter(|_| !is_not_modified) else { return response };
        if !is_compressed {
            let (mut parts, body) = response.into_parts();
            let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            match encode(body.clone(), coding).await {
                Ok(encoded) => {
                    set_content_encoding(&mut parts.headers, coding);
                    response = Response::from_parts(parts, encoded.into());
                }
                Err(error) => {
                    tracing::error!(%error, "a response could not be compressed");
                    return Response::from_parts(parts, body.into());
                }
            }
        }
        add_coding_to_tag(response.headers_mut(), coding);
        response
    }
}

/// Compresses a whole body.
///
/// # Errors
/// Fails if the encoder has no memory, or if the runtime is stopping.
pub(super) async fn encode(body: Bytes, coding: ResponseCoding) -> io::Result<Bytes> {
    let encoded = if body.len() <= MAX_INLINE_BYTES {
        coding.encode(&body)
    } else {
        tokio::task::spawn_blocking(move || coding.encode(&body)).await?
    };
    encoded.map(Bytes::from)
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
    let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    is_worth_compressing(content_type.unwrap_or_default(), size)
}

fn add_coding_to_tag(headers: &mut HeaderMap, coding: ResponseCoding) {
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag_with_coding(tag, coding)).ok()) {
        headers.insert(header::ETAG, tag);
    }
}
