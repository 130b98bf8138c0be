//! The structure of the body of a search: its keys, and the arrays and objects that they contain. The values inside are
//! not parsed here.

use super::SearchError;
use crate::json::{Json, Object};

const KEYS: [&str; 8] = ["filters", "filter_groups", "sorts", "query", "properties", "limit", "after", "archived"];

/// The maximum edit distance between an unknown key and the key that an error suggests.
const MAX_TYPO_DISTANCE: usize = 2;
/// The maximum number of characters of an unknown key that an error repeats.
const MAX_REPEATED_CHARACTERS: usize = 100;

/// The parts of a body. A key whose value is `null` counts as missing.
#[derive(Debug)]
pub(super) struct SearchBody<'a> {
    pub filters: Vec<&'a Object<'a>>,
    pub filter_groups: Vec<Vec<&'a Object<'a>>>,
    pub sorts: Vec<&'a str>,
    pub properties: Vec<&'a str>,
    pub query: Option<&'a Json<'a>>,
    pub limit: Option<&'a Json<'a>>,
    pub after: Option<&'a Json<'a>>,
    pub archived: Option<&'a Json<'a>>,
}

impl<'a> SearchBody<'a> {
    /// Parses the structure of a body.
    ///
    /// # Errors
    /// Returns [`SearchError::InvalidBody`] for an unknown key, and for a value that must be an array or object but is
    /// not.
    pub(super) fn parse(body: &'a Object<'a>) -> Result<Self, SearchError> {
        if let Some((name, _)) = body.iter().find(|(name, _)| !KEYS.contains(&&**name)) {
            return Err(SearchError::InvalidBody(unknown_key_message(name)));
        }
        let sent =
            |key: &str| body.iter().find(|(name, json)| name == key && *json != Json::Null).map(|(_, json)| json);
        Ok(Self {
            filters: sent("filters").map_or(Ok(vec![]), parse_filters)?,
            filter_groups: sent("filter_groups").map_or(Ok(vec![]), parse_filter_groups)?,
            sorts: sent("sorts").map_or(Ok(vec![]), |json| parse_strings("sorts", json))?,
            properties: sent("properties").map_or(Ok(vec![]), |json| parse_strings("properties", json))?,
            query: sent("query"),
            limit: sent("limit"),
            after: sent("after"),
            archived: sent("archived"),
        })
    }
}

/// Returns `Unknown key "sort". Did you mean "sorts"?`, or a message with all keys if none is similar.
fn unknown_key_message(name: &str) -> String {
    let name: String = name.chars().take(MAX_REPEATED_CHARACTERS).collect();
    let distance = |key: &&str| strsim::osa_distance(&name.to_ascii_lowercase(), key);
    match KEYS.into_iter().min_by_key(distance).filter(|key| distance(key) <= MAX_TYPO_DISTANCE) {
        Some(similar) => format!("Unknown key \"{name}\". Did you mean \"{similar}\"?"),
        None => format!("Unknown key \"{name}\". The body of a search takes these keys: {}", KEYS.join(", ")),
    }
}

fn parse_filters<'a>(json: &'a Json<'a>) -> Result<Vec<&'a Object<'a>>, SearchError> {
    let invalid = || {
        let message = "filters must be an array of objects with the keys property, operator and value";
        SearchError::InvalidBody(message.to_owned())
    };
    let Json::Array(items) = json else { return Err(invalid()) };
    items.iter().map(|item| if let Json::Object(filter) = item { Ok(filter) } else { Err(invalid()) }).collect()
}

fn parse_filter_groups<'a>(json: &'a Json<'a>) -> Result<Vec<Vec<&'a Object<'a>>>, SearchError> {
    let invalid = || {
        let message = "filter_groups must be an array of objects with the one key filters: {\"filters\": […]}";
        SearchError::InvalidBody(message.to_owned())
    };
    let Json::Array(items) = json else { return Err(invalid()) };
    let parse_group = |item: &'a Json<'a>| match item {
        Json::Object(members) => match members.as_slice() {
            [(name, json)] if name == "filters" => parse_filters(json),
            _ => Err(invalid()),
        },
        _ => Err(invalid()),
    };
    items.iter().map(parse_group).collect()
}

fn parse_strings<'a>(key: &str, json: &'a Json<'a>) -> Result<Vec<&'a str>, SearchError> {
    let invalid = || SearchError::InvalidBody(format!("{key} must be an array of strings"));
    let Json::Array(items) = json else { return Err(invalid()) };
    items.iter().map(|item| if let Json::String(text) = item { Ok(&**text) } else { Err(invalid()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn body_of_a_search_is_split_into_its_parts() {
        let body = r#"{"filters": [{}], "filter_groups": [{"filters": []}, {"filters": [{}, {}]}], "sorts": null,
                       "properties": ["a"], "limit": "any"}"#;
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
        let parts = SearchBody::parse(&body).expect("the structure of a search");
        assert_eq!((parts.filters.len(), parts.filter_groups[1].len(), parts.properties), (1, 2, vec!["a"]));
        assert!(parts.sorts.is_empty() && parts.limit.is_some() && parts.after.is_none());
    }

    #[test]
    fn body_with_another_structure_is_rejected() {
        for body in [
            r#"{"filter": []}"#,
            r#"{"Filters": []}"#,
            r#"{"filters": {}}"#,
            r#"{"filters": ["email"]}"#,
            r#"{"filters": [[]]}"#,
            r#"{"filter_groups": {}}"#,
            r#"{"filter_groups": [[]]}"#,
            r#"{"filter_groups": [{}]}"#,
            r#"{"filter_groups": [{"filters": null}]}"#,
            r#"{"filter_groups": [{"filters": [], "operator": "or"}]}"#,
            r#"{"sorts": "email"}"#,
            r#"{"sorts": [{"property": "email"}]}"#,
            r#"{"properties": [1]}"#,
        ] {
            let object = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
            assert!(matches!(SearchBody::parse(&object), Err(SearchError::InvalidBody(_))), "{body}");
        }
    }

    #[test]
    fn error_of_an_unknown_key_suggests_a_similar_key() {
        assert_eq!(unknown_key_message("sort"), r#"Unknown key "sort". Did you mean "sorts"?"#);
        assert_eq!(unknown_key_message("filterGroups"), r#"Unknown key "filterGroups". Did you mean "filter_groups"?"#);
        let message = unknown_key_message("order_by");
        assert!(message.ends_with(&format!("takes these keys: {}", KEYS.join(", "))), "{message}");
    }
}
