//! The fixed words of `/contacts/…`, and values of a unique property that are spelt like them (contract §6): with
//! `id_property` the segment is always a value, without it the words win.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::Uri;

use super::query::Query;

const WORDS: [&str; 3] = ["search", "changes", "batch"];
/// Before the route is chosen: letters that are percent-encoded for no reason are written plainly (RFC 3986 §6.2.2.2),
/// and a value that is spelt like a word is written so that no route of a word takes it.
pub(super) fn tell_apart(mut request: Request) -> Request {
    if let Some(path) = rewritten(request.uri()) {
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

/// The path by which the route is to be chosen; `None` when it is the one that was sent.
fn rewritten(uri: &Uri) -> Option<String> {
    let path = plain(uri.path());
    let word = path.strip_prefix("/contacts/").filter(|segment| WORDS.contains(segment));
    match word.and_then(|word| word.split_at_checked(1)) {
        Some((first, rest)) if Query::names_property(uri.query()) => {
            Some(format!("/contacts/%{:02X}{rest}", first.as_bytes()[0]))
        }
        _ => Some(path.into_owned()).filter(|path| path != uri.path()),
    }
}

/// A path without the percent-encoding of characters that need none.
fn plain(path: &str) -> Cow<'_, str> {
    let Some((first, encoded)) = path.split_once('%') else { return path.into() };
    let mut plain = first.to_owned();
    for part in encoded.split('%') {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            Some(byte) => plain.extend([char::from(byte)].into_iter().chain(part[2..].chars())),
            None => plain.extend(['%'].into_iter().chain(part.chars())),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_words_from_values() {
        let path = |uri: &str| rewritten(&uri.parse().expect("a URI"));
        assert_eq!(path("/contacts/%73earch").as_deref(), Some("/contacts/search"));
        assert_eq!(path("/contacts/search?id_property=external_id").as_deref(), Some("/contacts/%73earch"));
        assert_eq!(path("/contacts/ch%61nges?x=1&id%5Fproperty=email").as_deref(), Some("/contacts/%63hanges"));
        assert_eq!(path("/contacts/%62atch/%72ead").as_deref(), Some("/contacts/batch/read"));
        assert_eq!(path("/contacts/a%2Fb%2z%").as_deref(), None);
        for other in [
            "/contacts",
            "/contacts/",
            "/contacts/search",
            "/contacts/%20",
            "/contacts/searches",
            "/contacts/batch/read",
            "/fields/search",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
