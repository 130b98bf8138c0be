//! Responses with content that rarely changes. Caches store it and revalidate it on each use.

use std::io;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::conditional_headers::ConditionalHeaders;
use super::content_coding::ResponseCoding;
use super::response_compression::{PreferredCoding, compress, is_worth_compressing, set_content_encoding};

/// Content with its media type and entity tag.
pub(super) struct StaticContent {
    body: Bytes,
    content_type: &'static str,
    etag: String,
    /// The compressed body, for each coding that a client has requested.
    encoded: [OnceCell<Bytes>; ResponseCoding::ALL.len()],
}

impl StaticContent {
    /// Creates content of this media type. The tag is a hash of the bytes, so that all instances send the same tag.
    pub(super) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
        Self { body, content_type, etag, encoded: [const { OnceCell::const_new() }; ResponseCoding::ALL.len()] }
    }

    /// Returns a response with the content, or 304 if `If-None-Match` matches its tag.
    pub(super) async fn response(
        &self,
        conditional_headers: &ConditionalHeaders,
        PreferredCoding(coding): PreferredCoding,
    ) -> Response {
        let not_modified_tag = conditional_headers.not_modified_tag(&self.etag);
        let mut response = if not_modified_tag.is_some() {
            StatusCode::NOT_MODIFIED.into_response()
        } else if let Some((coding, body)) = self.encoded(coding).await {
            let mut response = ([(header::CONTENT_TYPE, self.content_type)], body).into_response();
            set_content_encoding(response.headers_mut(), coding);
            response
        } else {
            ([(header::CONTENT_TYPE, self.content_type)], self.body.clone()).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let etag = not_modified_tag.as_ref().unwrap_or(&self.etag);
        headers.extend(HeaderValue::from_str(etag).ok().map(|etag| (header::ETAG, etag)));
        response
    }

    /// Returns the body in this coding. The first call compresses it. Returns `None` if it is not to be compressed.
    async fn encoded(&self, coding: Option<ResponseCoding>) -> Option<(ResponseCoding, Bytes)> {
        let coding = coding.filter(|_| is_worth_compressing(self.content_type, self.body.len()))?;
        let index = ResponseCoding::ALL.iter().position(|other| *other == coding)?;
        let encoded = self.encoded[index].get_or_try_init(|| encode(self.body.clone(), coding)).await;
        encoded.ok().map(|encoded| (coding, encoded.clone()))
    }
}

async fn encode(body: Bytes, coding: ResponseCoding) -> io::Result<Bytes> {
    let encoded = compress(body.into(), coding).await?;
    Ok(encoded.into_bytes())
}
