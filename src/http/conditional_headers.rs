//! The conditional request headers `If-Match` and `If-None-Match` (RFC 9110 §13.1).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use super::content_coding::{ResponseCoding, tag_with_coding};
use crate::contacts::{Precondition, Preconditions};

/// The conditional headers of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConditionalHeaders {
    preconditions: Preconditions,
    /// The content coding of the response, if the response is compressed.
    coding: Option<ResponseCoding>,
}

impl<S: Send + Sync> FromRequestParts<S> for ConditionalHeaders {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(&parts.headers))
    }
}

impl ConditionalHeaders {
    fn parse(headers: &HeaderMap) -> Self {
        let preconditions = Preconditions {
            if_match: parse_precondition(headers, &header::IF_MATCH),
            if_none_match: parse_precondition(headers, &header::IF_NONE_MATCH),
        };
        Self { preconditions, coding: ResponseCoding::from_headers(headers) }
    }

    /// Returns the conditions for a write. They compare only the version part of the tags.
    pub(super) fn preconditions(&self) -> &Preconditions {
        &self.preconditions
    }

    /// Returns whether a read of the representation with this entity tag is answered with 304: `If-None-Match` is `*`,
    /// or contains the whole tag (weak comparison), or the tag that the response has when it is compressed.
    pub(super) fn is_not_modified(&self, etag: &str) -> bool {
        match &self.preconditions.if_none_match {
            Precondition::Exists => true,
            Precondition::Matches(tags) => {
                let coded = self.coding.map(|coding| tag_with_coding(etag, coding));
                tags.iter()
                    .any(|tag| tag.is_equal_to(etag) || coded.as_ref().is_some_and(|coded| tag.is_equal_to(coded)))
            }
            Precondition::None | Precondition::Version(_) => false,
        }
    }
}

fn parse_precondition(headers: &HeaderMap, name: &HeaderName) -> Precondition {
    if !headers.contains_key(name) {
        return Precondition::None;
    }
    Precondition::from_header_lines(headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, lines: &[&'static str]) -> ConditionalHeaders {
        let lines = lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line)));
        ConditionalHeaders::parse(&lines.collect())
    }

    #[test]
    fn conditional_headers_are_parsed_from_all_their_lines() {
        assert_eq!(headers(header::IF_MATCH, &[]).preconditions(), &Preconditions::default());
        let parsed = headers(header::IF_MATCH, &["\"a\"", "\"b\""]);
        let if_match = Precondition::parse("\"a\", \"b\"").expect("a list of tags");
        assert_eq!(parsed.preconditions(), &Preconditions { if_match, ..Preconditions::default() });
        assert_ne!(headers(header::IF_MATCH, &[""]).preconditions(), &Preconditions::default());
    }

    #[test]
    fn if_none_match_of_a_read_compares_the_whole_tag_weakly() {
        let is_not_modified = |lines| headers(header::IF_NONE_MATCH, lines).is_not_modified("\"a.b\"");
        for lines in [&["*"][..], &["\"a.b\""], &["\"x\", W/\"a.b\""], &["\"x\"", "\"a.b\""]] {
            assert!(is_not_modified(lines), "{lines:?}");
        }
        for lines in [&[][..], &["\"a.c\""], &["\"a\""], &["\"a.b-gzip\""], &["a.b"], &[""]] {
            assert!(!is_not_modified(lines), "{lines:?}");
        }
    }

    #[test]
    fn if_none_match_of_a_read_matches_the_tag_of_the_coding_that_is_accepted() {
        let is_not_modified = |tag: &'static str, accepted: &'static str| {
            let lines = [(header::IF_NONE_MATCH, tag), (header::ACCEPT_ENCODING, accepted)];
            let lines = lines.map(|(name, line)| (name, HeaderValue::from_static(line)));
            ConditionalHeaders::parse(&lines.into_iter().collect()).is_not_modified("\"a.b\"")
        };
        assert!(is_not_modified("\"a.b-gzip\"", "gzip") && is_not_modified("W/\"a.b-zstd\"", "gzip, zstd"));
        assert!(!is_not_modified("\"a.b-gzip\"", "zstd") && !is_not_modified("\"a.b-gzip\"", "identity"));
    }
}
