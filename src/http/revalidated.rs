//! Content that is the same for a while: a cache keeps it, and asks each time whether it still holds.

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::conditional::Conditions;
use crate::contacts::Precondition;

/// Content with its entity tag.
pub(super) struct Content {
    body: Bytes,
    content_type: &'static str,
    tag: String,
}

impl Content {
    /// Content of this type. The tag follows from the bytes: every instance has the same.
    pub(super) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
        Self { body, content_type, tag }
    }

    /// The answer that holds it; 304 without it for one who has it already.
    pub(super) fn answer(&self, conditions: &Conditions) -> Response {
        let is_known = match &conditions.if_none_match {
            Precondition::None => false,
            Precondition::Exists => true,
            Precondition::Matches(tags) => tags.contains(&self.tag),
        };
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, self.content_type)], self.body.clone()).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.extend(HeaderValue::from_str(&self.tag).ok().map(|tag| (header::ETAG, tag)));
        response
    }
}
