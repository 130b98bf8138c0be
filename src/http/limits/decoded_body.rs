//! Decoding of compressed request bodies. The size limit applies to the coded and to the decoded bytes.

use std::io;
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::{Body, Bytes};
use http_body_util::{BodyDataStream, BodyExt, LengthLimitError, Limited};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;
use tower_http::timeout::{TimeoutBody, TimeoutError};

use crate::http::content_coding::RequestCoding;
use crate::http::error::ApiError;

/// The number of bytes that are decoded at once.
const PART_BYTES: usize = 16 * 1024;
/// The largest window of zstd, as a power of two: 8 MiB, the limit of RFC 9659.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The largest window of Brotli without its extension for large windows: 16 MiB (RFC 7932 §9.1).
const BROTLI_WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// The first seven bits of a Brotli stream with a large window, which may take up to 1 GiB.
const BROTLI_LARGE_WINDOW: u8 = 0b001_0001;

/// A compressed body that is decoded in small parts.
pub(super) struct DecodedBody {
    decoder: Box<dyn AsyncRead + Send + Unpin>,
    limit: usize,
}

impl DecodedBody {
    /// Wraps a body whose coded bytes may be at most `limit` bytes. `pause` is the longest pause between its parts.
    pub(super) async fn new(
        body: Body,
        coding: RequestCoding,
        limit: usize,
        pause: Duration,
    ) -> Result<Self, ApiError> {
        let body = TimeoutBody::new(pause, Limited::new(body, limit)).map_err(io::Error::other);
        let mut reader = StreamReader::new(BodyDataStream::new(Box::pin(body)));
        let decoder: Box<dyn AsyncRead + Send + Unpin> = match coding {
            RequestCoding::Gzip => {
                let mut decoder = GzipDecoder::new(reader);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            RequestCoding::Zstd => {
                let mut decoder = ZstdDecoder::with_params(reader, &[DParameter::window_log_max(ZSTD_WINDOW_LOG)]);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            RequestCoding::Brotli => {
                let start = reader.fill_buf().await.map_err(|error| read_error(&error, limit))?;
                if start.first().is_some_and(|byte| byte & 0b111_1111 == BROTLI_LARGE_WINDOW) {
                    return Err(malformed());
                }
                Box::new(BrotliDecoder::new(reader))
            }
        };
        Ok(Self { decoder, limit })
    }

    /// Decodes the next part of the body. Returns `None` at its end.
    pub(super) async fn next_part(&mut self) -> Result<Option<Bytes>, ApiError> {
        let mut part = Vec::with_capacity(PART_BYTES);
        let read = self.decoder.read_buf(&mut part).await.map_err(|error| read_error(&error, self.limit))?;
        Ok(Some(Bytes::from(part)).filter(|_| read > 0))
    }
}

/// Returns the memory that a decoder takes in addition to the decoded bytes. Its window is never larger than the
/// bytes that it has decoded.
pub(super) fn decoder_bytes(coding: RequestCoding, limit: usize) -> usize {
    match coding {
        RequestCoding::Gzip => 0,
        RequestCoding::Zstd => limit.min(1 << ZSTD_WINDOW_LOG),
        RequestCoding::Brotli => limit.min(BROTLI_WINDOW_BYTES),
    }
}

/// Converts an error of reading or of decoding a body.
fn read_error(error: &io::Error, limit: usize) -> ApiError {
    match error.get_ref() {
        Some(cause) if cause.is::<LengthLimitError>() => ApiError::PayloadTooLarge { limit },
        Some(cause) if cause.is::<TimeoutError>() => ApiError::RequestTimeout,
        _ => malformed(),
    }
}

fn malformed() -> ApiError {
    ApiError::InvalidBody("The body ended early, or it does not decode as its Content-Encoding says".into())
}
