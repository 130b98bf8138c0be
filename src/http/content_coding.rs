//! Content codings (RFC 9110 §8.4): the codings of request bodies, the codings that a client accepts, and the suffix
//! that a coded response adds to its entity tag.

use std::io::{self, Write};

use axum::http::header::AsHeaderName;
use axum::http::{HeaderMap, header};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::buffered_body::ChunkedBuffer;
use super::error::ApiError;

/// Gzip takes a third of the time of its default level, and its output is about a tenth larger.
const GZIP_LEVEL: Compression = Compression::new(4);
const ZSTD_LEVEL: i32 = 3;

/// The coding of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestCoding {
    Gzip,
    Zstd,
    Brotli,
}

impl RequestCoding {
    /// Returns the coding that `Content-Encoding` declares. Returns `None` without one, and for `identity`.
    ///
    /// # Errors
    /// [`ApiError::UnsupportedContentEncoding`] for several codings, and for any other coding.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut codings = list_items(headers, header::CONTENT_ENCODING);
        let Some(coding) = codings.next() else { return Ok(None) };
        if codings.next().is_some() {
            return Err(ApiError::UnsupportedContentEncoding);
        }
        match &*coding {
            "identity" => Ok(None),
            // RFC 9110 §8.4.1.3: `x-gzip` is the same as `gzip`.
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "zstd" => Ok(Some(Self::Zstd)),
            "br" => Ok(Some(Self::Brotli)),
            _ => Err(ApiError::UnsupportedContentEncoding),
        }
    }
}

/// The coding of a response body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseCoding {
    Zstd,
    Gzip,
}

impl ResponseCoding {
    /// All codings, in the order of preference.
    pub(super) const ALL: [Self; 2] = [Self::Zstd, Self::Gzip];

    /// Returns the coding that the client prefers in `Accept-Encoding`, or `None` if it accepts none of them
    /// (RFC 9110 §12.5.3). Of codings with the same weight, returns the first of [`Self::ALL`].
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(header::ACCEPT_ENCODING) {
            return None;
        }
        let accepted: Vec<_> = list_items(headers, header::ACCEPT_ENCODING).map(|item| parse_weight(&item)).collect();
        let weight = |coding: Self| {
            let is_named = |(name, _): &&(String, f32)| coding.has_name(name);
            let named = accepted.iter().find(is_named);
            named.or_else(|| accepted.iter().find(|(name, _)| name == "*")).map_or(0.0, |(_, weight)| *weight)
        };
        let candidates = Self::ALL.into_iter().map(|coding| (coding, weight(coding)));
        let best = candidates.reduce(|best, other| if other.1 > best.1 { other } else { best });
        best.filter(|(_, weight)| *weight > 0.0).map(|(coding, _)| coding)
    }

    /// Returns the name of the coding.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn has_name(self, name: &str) -> bool {
        name == self.as_str() || (self == Self::Gzip && name == "x-gzip")
    }

    /// Compresses a body of `length` bytes, chunk by chunk. Each chunk is dropped when it is compressed.
    ///
    /// # Errors
    /// Fails if the encoder has no memory.
    pub(super) fn encode<B: AsRef<[u8]>>(
        self,
        length: usize,
        chunks: impl IntoIterator<Item = B>,
    ) -> io::Result<ChunkedBuffer> {
        let output = ChunkedBuffer::default();
        match self {
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(output, ZSTD_LEVEL)?;
                encoder.set_pledged_src_size(Some(length as u64))?;
                write_chunks(&mut encoder, chunks)?;
                encoder.finish()
            }
            Self::Gzip => {
                let mut encoder = GzEncoder::new(output, GZIP_LEVEL);
                write_chunks(&mut encoder, chunks)?;
                encoder.finish()
            }
        }
    }
}

fn write_chunks<B: AsRef<[u8]>>(writer: &mut impl Write, chunks: impl IntoIterator<Item = B>) -> io::Result<()> {
    chunks.into_iter().try_for_each(|chunk| writer.write_all(chunk.as_ref()))
}

/// Returns the entity tag of a coded representation: `"abc"` becomes `"abc-gzip"`. Each coding needs its own tag,
/// because its bytes differ (RFC 9110 §8.8.3.3).
pub(super) fn tag_with_coding(tag: &str, coding: ResponseCoding) -> String {
    match tag.strip_suffix('"') {
        Some(opened) => format!("{opened}-{}\"", coding.as_str()),
        None => tag.to_owned(),
    }
}

/// Returns the items of a header with a comma-separated list, in lower case. Empty items do not count.
fn list_items(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = String> {
    let values = headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let items =
        values.flat_map(|value| value.split(',').map(|item| item.trim().to_ascii_lowercase()).collect::<Vec<_>>());
    items.filter(|item| !item.is_empty())
}

/// Splits an item of `Accept-Encoding` into its name and its weight. A malformed weight is zero.
fn parse_weight(item: &str) -> (String, f32) {
    let (name, parameters) = item.split_once(';').unwrap_or((item, "q=1"));
    let weight = parameters.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
    (name.trim().to_owned(), weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn headers(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[rstest]
    #[case(&[], Ok(None))]
    #[case(&[""], Ok(None))]
    #[case(&["identity"], Ok(None))]
    #[case(&["GZip"], Ok(Some(RequestCoding::Gzip)))]
    #[case(&["x-gzip"], Ok(Some(RequestCoding::Gzip)))]
    #[case(&[" zstd "], Ok(Some(RequestCoding::Zstd)))]
    #[case(&["br,"], Ok(Some(RequestCoding::Brotli)))]
    #[case(&["deflate"], Err("unsupported_media_type"))]
    #[case(&["gzip;q=1"], Err("unsupported_media_type"))]
    #[case(&["gzip, gzip"], Err("unsupported_media_type"))]
    #[case(&["identity", "gzip"], Err("unsupported_media_type"))]
    fn content_encoding_is_one_known_coding(
        #[case] values: &[&'static str],
        #[case] expected: Result<Option<RequestCoding>, &'static str>,
    ) {
        let parsed = RequestCoding::from_headers(&headers(header::CONTENT_ENCODING, values));
        assert_eq!(parsed.map_err(|error| error.code()), expected);
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&[""], None)]
    #[case(&["br, deflate"], None)]
    #[case(&["gzip, deflate, br, zstd"], Some(ResponseCoding::Zstd))]
    #[case(&["gzip", "br"], Some(ResponseCoding::Gzip))]
    #[case(&["GZIP;Q=0.5, zstd;q=0.4"], Some(ResponseCoding::Gzip))]
    #[case(&["*"], Some(ResponseCoding::Zstd))]
    #[case(&["*;q=0.5, zstd;q=0"], Some(ResponseCoding::Gzip))]
    #[case(&["gzip;q=0, *;q=0"], None)]
    #[case(&["gzip;q=nan, zstd;level=1"], None)]
    #[case(&["identity, x-gzip"], Some(ResponseCoding::Gzip))]
    fn accepted_coding_with_the_highest_weight_is_chosen(
        #[case] values: &[&'static str],
        #[case] expected: Option<ResponseCoding>,
    ) {
        assert_eq!(ResponseCoding::from_headers(&headers(header::ACCEPT_ENCODING, values)), expected);
    }

    #[test]
    fn tag_gets_the_suffix_of_a_coding() {
        for coding in ResponseCoding::ALL {
            assert_eq!(tag_with_coding("\"a-b\"", coding), format!("\"a-b-{}\"", coding.as_str()));
        }
    }
}
