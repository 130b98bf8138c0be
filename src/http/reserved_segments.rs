//! The reserved path segments of `/contacts/…`, and values of a unique property that are spelled like them.
//!
//! With `id_property` the segment is always a value; without it, a reserved segment selects its own route
//! (`docs/api-reference.md#lookup-by-unique-property`).

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::Uri;

use super::query::QueryString;

const RESERVED: [&str; 4] = ["search", "changes", "batch", "export"];

/// Rewrites the path before routing.
///
/// Decodes unreserved characters that are percent-encoded (RFC 3986 §6.2.2.2). Escapes a value that is spelled like a
/// reserved segment, so that it matches `/contacts/{contactId}`.
pub(super) fn escape_reserved_segments(mut request: Request) -> Request {
    if let Some(path) = rewritten_path(request.uri()) {
        let target = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = target.parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Returns the rewritten path, or `None` if routing uses the path as sent.
fn rewritten_path(uri: &Uri) -> Option<String> {
    let path = decode_unreserved(uri.path());
    let reserved = path.strip_prefix("/contacts/").filter(|segment| RESERVED.contains(segment));
    match reserved.and_then(|segment| segment.split_at_checked(1)) {
        Some((first, rest)) if QueryString::has_id_property(uri.query()) => {
            Some(format!("/contacts/%{:02X}{rest}", first.as_bytes()[0]))
        }
        _ => Some(path.into_owned()).filter(|path| path != uri.path()),
    }
}

/// Decodes the percent-encoded characters that need no encoding.
fn decode_unreserved(path: &str) -> Cow<'_, str> {
    let Some((first, encoded)) = path.split_once('%') else { return path.into() };
    let mut decoded = first.to_owned();
    for part in encoded.split('%') {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            Some(byte) => decoded.extend([char::from(byte)].into_iter().chain(part[2..].chars())),
            None => decoded.extend(['%'].into_iter().chain(part.chars())),
        }
    }
    decoded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_segment_is_escaped_only_with_id_property() {
        let path = |uri: &str| rewritten_path(&uri.parse().expect("a valid URI"));
        assert_eq!(path("/contacts/%73earch").as_deref(), Some("/contacts/search"));
        assert_eq!(path("/contacts/search?id_property=external_id").as_deref(), Some("/contacts/%73earch"));
        assert_eq!(path("/contacts/ch%61nges?x=1&id%5Fproperty=email").as_deref(), Some("/contacts/%63hanges"));
        assert_eq!(path("/contacts/%62atch/%72ead").as_deref(), Some("/contacts/batch/read"));
        assert_eq!(path("/contacts/a%2Fb%2z%").as_deref(), None);
        for unchanged in [
            "/contacts",
            "/contacts/",
            "/contacts/search",
            "/contacts/%20",
            "/contacts/searches",
            "/contacts/batch/read",
            "/fields/search",
        ] {
            assert_eq!(path(unchanged), None, "{unchanged}");
        }
    }
}
