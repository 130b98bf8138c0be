//! `Link: <…>; rel="next"` of a page (RFC 8288, `docs/api-reference.md#requests-and-responses`).

use axum::http::{HeaderValue, Uri};
use percent_encoding::{CONTROLS, utf8_percent_encode};

use super::query::decode_form_component;

/// The parameters that say where a page starts. The cursor of the next page replaces them.
const START_PARAMETERS: [&str; 3] = ["after", "offset", "since"];

/// Returns the header of a page of this request, whose next page starts after a cursor. All other parameters stay as sent. Returns `None`
/// if the next page is this page: at the end of the change feed, a client that follows the links would otherwise never stop.
pub(super) fn next_link(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    let is_start = |pair: &&str| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        decode_form_component(name).is_some_and(|name| START_PARAMETERS.contains(&&*name))
    };
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !is_start(pair));
    let after = format!("after={cursor}");
    let query = pairs.chain([after.as_str()]).collect::<Vec<_>>().join("&");
    let target = format!("{}?{query}", uri.path());
    if uri.path_and_query().is_some_and(|sent| *sent == *target) {
        return None;
    }
    // A request target may have characters that are not ASCII. They are encoded, too.
    let target = utf8_percent_encode(&target, CONTROLS);
    HeaderValue::try_from(format!("<{target}>; rel=\"next\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_replaces_the_start_of_the_page_and_keeps_all_other_parameters() {
        let link = |uri: &str| {
            let uri = uri.parse().expect("a valid URI");
            next_link(&uri, "AZ_g-").map(|link| link.to_str().expect("ASCII").to_owned()).unwrap_or_default()
        };
        assert_eq!(link("/contacts"), "</contacts?after=AZ_g->; rel=\"next\"");
        assert_eq!(
            link("/contacts?limit=2&offset=4&&email=a%2Bb%40c.de&archived=true"),
            "</contacts?limit=2&email=a%2Bb%40c.de&archived=true&after=AZ_g->; rel=\"next\""
        );
        assert_eq!(
            link("/contacts/changes?since=2026-01-01T00:00:00Z&%61fter=x&exclude_actor=me"),
            "</contacts/changes?exclude_actor=me&after=AZ_g->; rel=\"next\""
        );
        assert_eq!(link("/contacts/changes?limit=1&after=AZ_g-"), "");
    }
}
