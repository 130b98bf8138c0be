//! Conditional requests: the headers `If-Match` and `If-None-Match` (RFC 9110 §13.1).

use axum::http::{HeaderMap, HeaderName, header};

use crate::contacts::Precondition;

/// What `If-Match` demands. Weak tags never match (RFC 9110 §13.1.1), and so are left out.
pub(super) fn if_match(headers: &HeaderMap) -> Precondition {
    if !headers.contains_key(header::IF_MATCH) {
        return Precondition::None;
    }
    let tags: Vec<_> = tags(headers, &header::IF_MATCH).collect();
    if tags == ["*"] {
        return Precondition::Exists;
    }
    Precondition::Matches(tags.into_iter().filter(|tag| tag.starts_with('"')).map(str::to_owned).collect())
}

/// Whether `If-None-Match` says that the caller has `etag` already. Weak tags count (RFC 9110 §13.1.2).
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    tags(headers, &header::IF_NONE_MATCH).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
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

    #[test]
    fn reads_if_match() {
        let read = |lines: &[&'static str]| if_match(&headers(header::IF_MATCH, lines));
        let matches = |tags: &[&str]| Precondition::Matches(tags.iter().map(|tag| (*tag).to_owned()).collect());
        assert_eq!(read(&[]), Precondition::None);
        assert_eq!(read(&[" * "]), Precondition::Exists);
        assert_eq!(read(&["\"a\", W/\"b\" ,\"c\"", "\"d\""]), matches(&["\"a\"", "\"c\"", "\"d\""]));
        assert_eq!(read(&["a"]), matches(&[]));
        assert_eq!(read(&[""]), matches(&[]));
    }

    #[test]
    fn reads_if_none_match() {
        let known = |line: &'static str| is_known(&headers(header::IF_NONE_MATCH, &[line]), "\"a\"");
        assert!(known("\"a\"") && known("W/\"a\"") && known("\"x\", \"a\"") && known("*"));
        assert!(!known("a") && !known("\"A\"") && !known(""));
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }
}
