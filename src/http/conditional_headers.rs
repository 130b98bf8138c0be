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
    /// The content coding that the client prefers. `None` also without `If-None-Match`, because only its tags need it.
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
        let has_tags = preconditions.if_none_match != Precondition::None;
        Self { preconditions, coding: has_tags.then(|| ResponseCoding::from_headers(headers)).flatten() }
    }

    /// Returns the conditions for a write. They compare only the version part of the tags.
    pub(super) fn preconditions(&self) -> &Preconditions {
        &self.preconditions
    }

    /// Returns the tag of the 304 that answers a read of the representation with this entity tag: the whole tag if
    /// `If-None-Match` is `*` or contains it (weak comparison), or else the tag that the response has when it is
    /// compressed. Returns `None` if `If-None-Match` has neither.
    pub(super) fn not_modified_tag(&self, etag: &str) -> Option<String> {
        match &self.preconditions.if_none_match {
            Precondition::Exists => Some(etag.to_owned()),
            Precondition::Matches(tags) => {
                let coded = self.coding.map(|coding| tag_with_coding(etag, coding));
                let mut candidates = [Some(etag.to_owned()), coded].into_iter().flatten();
                candidates.find(|candidate| tags.iter().any(|tag| tag.is_equal_to(candidate)))
            }
            Precondition::None | Precondition::Version(_) => None,
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
        let is_not_modified = |lines| {
            let tag = headers(header::IF_NONE_MATCH, lines).not_modified_tag("\"a.b\"");
            assert!(tag.as_ref().is_none_or(|tag| tag == "\"a.b\""));
            tag.is_some()
        };
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
            let not_modified = ConditionalHeaders::parse(&lines.into_iter().collect()).not_modified_tag("\"a.b\"");
            assert!(not_modified.as_ref().is_none_or(|sent| tag.ends_with(&**sent)));
            not_modified.is_some()
        };
        assert!(is_not_modified("\"a.b-gzip\"", "gzip") && is_not_modified("W/\"a.b-zstd\"", "gzip, zstd"));
        assert!(!is_not_modified("\"a.b-gzip\"", "zstd") && !is_not_modified("\"a.b-gzip\"", "identity"));
    }
}
