//! The shape of a search's body: which arrays and objects stand where. What they say is not looked at.

use super::SearchError;
use crate::json::{Json, Object};

const KEYS: [&str; 8] = ["filters", "filter_groups", "sorts", "query", "properties", "limit", "after", "archived"];

/// A body by its parts. `null` is the same as nothing.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    pub filters: Vec<&'a Object<'a>>,
    pub groups: Vec<Vec<&'a Object<'a>>>,
    pub sorts: Vec<&'a str>,
    pub properties: Vec<&'a str>,
    pub query: Option<&'a Json<'a>>,
    pub limit: Option<&'a Json<'a>>,
    pub after: Option<&'a Json<'a>>,
    pub archived: Option<&'a Json<'a>>,
}

impl<'a> Shape<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// [`SearchError::Shape`] for an unknown key, and where an array or object is missing.
    pub(super) fn read(body: &'a Object<'a>) -> Result<Self, SearchError> {
        if body.iter().any(|(name, _)| !KEYS.contains(&&**name)) {
            return Err(wrong(format!("The body takes these keys only: {}", KEYS.join(", "))));
        }
        let sent =
            |key: &str| body.iter().find(|(name, json)| name == key && *json != Json::Null).map(|(_, json)| json);
        Ok(Self {
            filters: sent("filters").map_or(Ok(vec![]), filters)?,
            groups: sent("filter_groups").map_or(Ok(vec![]), groups)?,
            sorts: sent("sorts").map_or(Ok(vec![]), |json| strings("sorts", json))?,
            properties: sent("properties").map_or(Ok(vec![]), |json| strings("properties", json))?,
            query: sent("query"),
            limit: sent("limit"),
            after: sent("after"),
            archived: sent("archived"),
        })
    }
}

fn wrong(message: String) -> SearchError {
    SearchError::Shape(message)
}

fn filters<'a>(json: &'a Json<'a>) -> Result<Vec<&'a Object<'a>>, SearchError> {
    let malformed = || wrong("filters must be an array of objects {\"property\", \"operator\", \"value\"}".into());
    let Json::Array(items) = json else { return Err(malformed()) };
    items.iter().map(|item| if let Json::Object(filter) = item { Ok(filter) } else { Err(malformed()) }).collect()
}

fn groups<'a>(json: &'a Json<'a>) -> Result<Vec<Vec<&'a Object<'a>>>, SearchError> {
    let malformed = || wrong("filter_groups must be an array of objects {\"filters\": […]} and nothing else".into());
    let Json::Array(items) = json else { return Err(malformed()) };
    let group = |item: &'a Json<'a>| match item {
        Json::Object(members) => match members.as_slice() {
            [(name, json)] if name == "filters" => filters(json),
            _ => Err(malformed()),
        },
        _ => Err(malformed()),
    };
    items.iter().map(group).collect()
}

fn strings<'a>(key: &str, json: &'a Json<'a>) -> Result<Vec<&'a str>, SearchError> {
    let malformed = || wrong(format!("{key} must be an array of strings"));
    let Json::Array(items) = json else { return Err(malformed()) };
    items.iter().map(|item| if let Json::String(text) = item { Ok(&**text) } else { Err(malformed()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn takes_what_stands_in_its_place() {
        let body = r#"{"filters": [{}], "filter_groups": [{"filters": []}, {"filters": [{}, {}]}], "sorts": null,
                       "properties": ["a"], "limit": "any"}"#;
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        let shape = Shape::read(&body).expect("a search");
        assert_eq!((shape.filters.len(), shape.groups[1].len(), shape.properties), (1, 2, vec!["a"]));
        assert!(shape.sorts.is_empty() && shape.limit.is_some() && shape.after.is_none());
    }

    #[test]
    fn refuses_any_other_shape() {
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
            let object = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("an object");
            assert!(matches!(Shape::read(&object), Err(SearchError::Shape(_))), "{body}");
        }
    }
}
