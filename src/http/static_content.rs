//! Responses with content that rarely changes. Caches store it and revalidate it on each use.

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::conditional_headers::ConditionalHeaders;

/// Content with its media type and entity tag.
pub(super) struct StaticContent {
    body: Bytes,
    content_type: &'static str,
    etag: String,
}

impl StaticContent {
    /// Creates content of this media type. The tag is a hash of the bytes, so that all instances send the same tag.
    pub(super) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
        Self { body, content_type, etag }
    }

    /// Returns a response with the content, or 304 if `If-None-Match` matches its tag.
    pub(super) fn response(&self, conditional_headers: &ConditionalHeaders) -> Response {
        let mut response = if conditional_headers.is_not_modified(&self.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, self.content_type)], self.body.clone()).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.extend(HeaderValue::from_str(&self.etag).ok().map(|etag| (header::ETAG, etag)));
        response
    }
}
