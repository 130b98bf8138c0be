//! The conditional request headers `If-Match` and `If-None-Match` (RFC 9110 §13.1).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use super::content_coding::tag_without_coding;
use crate::contacts::Precondition;

/// The conditional headers of a request. A tag of a compressed response counts as the tag of the plain response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConditionalHeaders {
    /// The condition that must be true. It contains no weak tags, because they never match (RFC 9110 §13.1.1).
    pub if_match: Precondition,
    /// The condition that must be false. Weak tags count as their strong tags (RFC 9110 §13.1.2).
    pub if_none_match: Precondition,
}

impl<S: Send + Sync> FromRequestParts<S> for ConditionalHeaders {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(&parts.headers))
    }
}

impl ConditionalHeaders {
    fn parse(headers: &HeaderMap) -> Self {
        let strong_only = |tag: &str| tag.starts_with('"').then(|| tag_without_coding(tag).into_owned());
        let weak_as_strong = |tag: &str| Some(tag_without_coding(tag.strip_prefix("W/").unwrap_or(tag)).into_owned());
        Self {
            if_match: parse_precondition(headers, &header::IF_MATCH, strong_only),
            if_none_match: parse_precondition(headers, &header::IF_NONE_MATCH, weak_as_strong),
        }
    }
}

fn parse_precondition(
    headers: &HeaderMap,
    name: &HeaderName,
    comparable_tag: impl Fn(&str) -> Option<String>,
) -> Precondition {
    if !headers.contains_key(name) {
        return Precondition::None;
    }
    let tags: Vec<_> = entity_tags(headers, name).collect();
    if tags == ["*"] {
        return Precondition::Exists;
    }
    Precondition::Matches(tags.into_iter().filter_map(comparable_tag).collect())
}

/// Returns the tags of all occurrences of a header. Splits at commas, because the tags of this service contain none.
fn entity_tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn matches(tags: &[&str]) -> Precondition {
        Precondition::Matches(tags.iter().map(|tag| (*tag).to_owned()).collect())
    }

    #[test]
    fn if_match_is_parsed_without_weak_tags() {
        let parse = |values: &[&'static str]| ConditionalHeaders::parse(&headers(header::IF_MATCH, values)).if_match;
        assert_eq!(parse(&[]), Precondition::None);
        assert_eq!(parse(&[" * "]), Precondition::Exists);
        assert_eq!(parse(&["\"a\", W/\"b\" ,\"c\"", "\"d\""]), matches(&["\"a\"", "\"c\"", "\"d\""]));
        assert_eq!(parse(&["a"]), matches(&[]));
        assert_eq!(parse(&[""]), matches(&[]));
    }

    #[test]
    fn if_none_match_is_parsed_with_weak_tags() {
        let parse =
            |values: &[&'static str]| ConditionalHeaders::parse(&headers(header::IF_NONE_MATCH, values)).if_none_match;
        assert_eq!(parse(&[]), Precondition::None);
        assert_eq!(parse(&["*"]), Precondition::Exists);
        assert_eq!(parse(&["\"a\", W/\"b\"", "a"]), matches(&["\"a\"", "\"b\"", "a"]));
    }
}
