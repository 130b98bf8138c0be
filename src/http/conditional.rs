//! Conditional requests: the headers `If-Match` and `If-None-Match` (RFC 9110 §13.1).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use super::state::App;
use crate::contacts::Precondition;

/// What a request demands of the contact as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditions {
    /// What must hold. Weak tags never match (RFC 9110 §13.1.1), and so are left out.
    pub if_match: Precondition,
    /// What must not hold. Weak tags count (RFC 9110 §13.1.2).
    pub if_none_match: Precondition,
}

impl FromRequestParts<App> for Conditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl Conditions {
    fn of(headers: &HeaderMap) -> Self {
        let strong = |tag: &str| tag.starts_with('"').then(|| tag.to_owned());
        let weak = |tag: &str| Some(tag.strip_prefix("W/").unwrap_or(tag).to_owned());
        Self {
            if_match: precondition(headers, &header::IF_MATCH, strong),
            if_none_match: precondition(headers, &header::IF_NONE_MATCH, weak),
        }
    }
}

fn precondition(headers: &HeaderMap, name: &HeaderName, read: impl Fn(&str) -> Option<String>) -> Precondition {
    if !headers.contains_key(name) {
        return Precondition::None;
    }
    let tags: Vec<_> = tags(headers, name).collect();
    if tags == ["*"] {
        return Precondition::Exists;
    }
    Precondition::Matches(tags.into_iter().filter_map(read).collect())
}

/// The members of a list of tags, over all lines of the header. (Our own tags hold no comma.)
fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect()
    }

    fn matches(tags: &[&str]) -> Precondition {
        Precondition::Matches(tags.iter().map(|tag| (*tag).to_owned()).collect())
    }

    #[test]
    fn reads_if_match() {
        let read = |lines: &[&'static str]| Conditions::of(&headers(header::IF_MATCH, lines)).if_match;
        assert_eq!(read(&[]), Precondition::None);
        assert_eq!(read(&[" * "]), Precondition::Exists);
        assert_eq!(read(&["\"a\", W/\"b\" ,\"c\"", "\"d\""]), matches(&["\"a\"", "\"c\"", "\"d\""]));
        assert_eq!(read(&["a"]), matches(&[]));
        assert_eq!(read(&[""]), matches(&[]));
    }

    #[test]
    fn reads_if_none_match() {
        let read = |lines: &[&'static str]| Conditions::of(&headers(header::IF_NONE_MATCH, lines)).if_none_match;
        assert_eq!(read(&[]), Precondition::None);
        assert_eq!(read(&["*"]), Precondition::Exists);
        assert_eq!(read(&["\"a\", W/\"b\"", "a"]), matches(&["\"a\"", "\"b\"", "a"]));
    }
}
