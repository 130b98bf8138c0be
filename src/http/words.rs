//! The fixed words of `/contacts/…`, and values of a unique property that are spelt like them (contract §6): with
//! `id_property` the segment is always a value, without it the words win.

use axum::extract::Request;
use axum::http::Uri;
use percent_encoding::percent_decode_str;

use super::query::Query;

const WORDS: [&str; 3] = ["search", "changes", "batch"];
/// No word is longer, even when each of its letters is percent-encoded.
const MAX_LENGTH: usize = 3 * 7;

/// Before the route is chosen: a value that is spelt like a word is written so that no route of a word takes it, and a
/// word in disguise is written plainly.
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

fn rewritten(uri: &Uri) -> Option<String> {
    let segment = uri.path().strip_prefix("/contacts/")?;
    if segment.len() > MAX_LENGTH || segment.contains('/') {
        return None;
    }
    let word = percent_decode_str(segment).decode_utf8().ok().filter(|word| WORDS.contains(&&**word))?;
    let (first, rest) = word.split_at(1);
    let disguised = || format!("/contacts/%{:02X}{rest}", first.as_bytes()[0]);
    Some(if Query::names_property(uri.query()) { disguised() } else { format!("/contacts/{word}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_words_from_values() {
        let path = |uri: &str| rewritten(&uri.parse().expect("a URI"));
        assert_eq!(path("/contacts/search").as_deref(), Some("/contacts/search"));
        assert_eq!(path("/contacts/%73earch").as_deref(), Some("/contacts/search"));
        assert_eq!(path("/contacts/search?id_property=external_id").as_deref(), Some("/contacts/%73earch"));
        assert_eq!(path("/contacts/ch%61nges?x=1&id%5Fproperty=email").as_deref(), Some("/contacts/%63hanges"));
        for other in ["/contacts", "/contacts/", "/contacts/searches", "/contacts/batch/read", "/fields/search"] {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
