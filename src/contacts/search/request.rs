//! A request for one page of a search, parsed from its body.

use uuid::Uuid;

use super::search_body::SearchBody;
use super::{Condition, SearchCriteria, SearchCursor, SearchError, Sort, filter, query_words};
use crate::fields::{CustomSelection, InvalidValue, Issue, IssueCode, Issues, Registry, Selection};
use crate::json::{Json, Object};

const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 1_000;
const MAX_FILTERS: usize = 50;
const MAX_GROUPS: usize = 5;
/// The maximum number of names in `properties`. It exceeds the number of fields that an account can have.
const MAX_PROPERTIES: usize = 1_000;

/// A request for one page of a search.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// The contacts to find, and their order.
    pub criteria: SearchCriteria,
    /// The cursor after the previous page; `None` for the first page.
    pub cursor: Option<SearchCursor>,
    /// The maximum number of contacts.
    pub limit: i64,
    /// The fields that the response contains.
    pub selection: Selection,
}

impl SearchRequest {
    /// Returns the custom fields to read: for the response, and for the sort keys, which the cursor contains.
    #[must_use]
    pub fn custom_fields(&self) -> CustomSelection {
        let mut fields = CustomSelection::from(&self.selection);
        fields.add(self.criteria.sorts.iter().map(|sort| sort.field.id));
        fields
    }

    /// Parses the body of `POST /contacts/search`.
    ///
    /// # Errors
    /// Returns [`SearchError::InvalidBody`] if the structure is wrong, otherwise every problem of the body.
    pub fn parse(body: &Object<'_>, account: Uuid, registry: &Registry) -> Result<Self, SearchError> {
        let body = SearchBody::parse(body)?;
        let mut issues = IssueList::default();
        let (conditions, condition_groups) = parse_conditions(&body, registry, &mut issues);
        let query_words = issues.value_or_default("query", body.query.map_or(Ok(vec![]), parse_query));
        let sorts = issues.values_or_default(Sort::parse(&body.sorts, registry));
        let include_archived = issues.value_or_default("archived", body.archived.map_or(Ok(false), parse_bool));
        let limit = issues.value_or_default("limit", body.limit.map_or(Ok(DEFAULT_LIMIT), parse_limit));
        let criteria = SearchCriteria { conditions, condition_groups, query_words, sorts, include_archived };
        // A cursor can be decoded only if the rest of the search is valid, because it is valid for that search only.
        let criteria_are_valid = issues.0.is_empty();
        let parse_after = |json: &Json<'_>| parse_cursor(json, account, &criteria, criteria_are_valid);
        let cursor = body.after.map(parse_after).transpose();
        let cursor = issues.value_or_default("after", cursor);
        match parse_properties(&body.properties, registry) {
            Ok(selection) if issues.0.is_empty() => Ok(Self { criteria, cursor: cursor.flatten(), limit, selection }),
            Err(unknown) if issues.0.is_empty() => Err(SearchError::InvalidProperties(unknown)),
            selection => {
                issues.0.append(selection.err().unwrap_or_default());
                Err(SearchError::InvalidQuery(issues.0))
            }
        }
    }
}

/// The issues found so far. An error response contains all of them.
#[derive(Default)]
struct IssueList(Issues);

impl IssueList {
    /// Returns the value, or records the problem of the value at `path` and returns a default.
    fn value_or_default<T: Default>(&mut self, path: &str, parsed: Result<T, InvalidValue>) -> T {
        self.values_or_default(parsed.map_err(|invalid| vec![invalid.for_field(path)]))
    }

    /// Returns the value, or records its issues and returns a default.
    fn values_or_default<T: Default>(&mut self, parsed: Result<T, Vec<Issue>>) -> T {
        parsed.unwrap_or_else(|issues| {
            self.0.extend(issues);
            T::default()
        })
    }
}

/// Parses `filters` and `filter_groups`. If there are too many, records an issue and parses none of them.
fn parse_conditions(
    body: &SearchBody<'_>,
    registry: &Registry,
    issues: &mut IssueList,
) -> (Vec<Condition>, Vec<Vec<Condition>>) {
    let count = body.filters.len() + body.filter_groups.iter().map(Vec::len).sum::<usize>();
    if count > MAX_FILTERS || body.filter_groups.len() > MAX_GROUPS {
        let too_long = |path, message| Issue::new(path, IssueCode::TooLong, message);
        if count > MAX_FILTERS {
            let message = format!("must contain at most {MAX_FILTERS} filters, including those in filter_groups");
            issues.0.push(too_long("filters", message));
        }
        if body.filter_groups.len() > MAX_GROUPS {
            issues.0.push(too_long("filter_groups", format!("must contain at most {MAX_GROUPS} groups")));
        }
        return (vec![], vec![]);
    }
    let conditions = parse_filters(&body.filters, "filters", registry, issues);
    let mut groups = vec![];
    for (index, filters) in body.filter_groups.iter().enumerate() {
        let path = format!("filter_groups[{index}].filters");
        if filters.is_empty() {
            // An empty group would match every contact, whatever the other groups contain.
            issues.0.push(Issue::new(&*path, IssueCode::Required, "must contain at least one filter"));
        }
        groups.push(parse_filters(filters, &path, registry, issues));
    }
    (conditions, groups)
}

fn parse_filters(filters: &[&Object<'_>], path: &str, registry: &Registry, issues: &mut IssueList) -> Vec<Condition> {
    let parse_filter = |(index, filter): (usize, &&Object<'_>)| {
        let condition = filter::parse(filter, &format!("{path}[{index}]"), registry);
        issues.values_or_default(condition.map(Some))
    };
    filters.iter().enumerate().filter_map(parse_filter).collect()
}

fn parse_query(json: &Json<'_>) -> Result<Vec<String>, InvalidValue> {
    match json {
        Json::String(text) => query_words::parse(text),
        _ => Err(InvalidValue::new(IssueCode::InvalidType, "must be a string of words to search for")),
    }
}

fn parse_bool(json: &Json<'_>) -> Result<bool, InvalidValue> {
    match json {
        Json::Bool(flag) => Ok(*flag),
        _ => Err(InvalidValue::new(IssueCode::InvalidType, "must be true or false")),
    }
}

fn parse_limit(json: &Json<'_>) -> Result<i64, InvalidValue> {
    let rule = "must be an integer from 1 to 1000";
    let Json::Number(digits) = json else { return Err(InvalidValue::new(IssueCode::InvalidType, rule)) };
    let limit = digits.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| InvalidValue::new(IssueCode::OutOfRange, rule))
}

/// Parses a cursor. Returns `None` if the criteria are invalid, because the cursor can be checked only against valid
/// criteria.
fn parse_cursor(
    json: &Json<'_>,
    account: Uuid,
    criteria: &SearchCriteria,
    criteria_are_valid: bool,
) -> Result<Option<SearchCursor>, InvalidValue> {
    let Json::String(cursor) = json else {
        return Err(InvalidValue::new(
            IssueCode::InvalidType,
            "must be a string: the `next` cursor of the previous page",
        ));
    };
    if !criteria_are_valid {
        return Ok(None);
    }
    let message = "must be the `next` cursor of the same search: only limit and properties may change between pages";
    SearchCursor::decode(cursor, account, criteria)
        .map(Some)
        .ok_or_else(|| InvalidValue::new(IssueCode::InvalidFormat, message))
}

fn parse_properties(names: &[&str], registry: &Registry) -> Result<Selection, Issues> {
    if names.len() > MAX_PROPERTIES {
        let message = format!("must contain at most {MAX_PROPERTIES} names");
        return Err([Issue::new("properties", IssueCode::TooLong, message)].into());
    }
    Selection::parse(names.iter().copied(), registry)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fields::registry_fixtures as fixtures;
    use crate::json;

    fn parse(body: &str) -> Result<SearchRequest, SearchError> {
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
        SearchRequest::parse(&body, Uuid::nil(), &fixtures::registry())
    }

    fn paths(issues: &[Issue]) -> Vec<&str> {
        issues.iter().map(|issue| &*issue.field).collect()
    }

    #[test]
    fn empty_body_matches_all_active_contacts() {
        let request = parse("{}").expect("a valid search");
        let SearchCriteria { conditions, condition_groups, query_words, sorts, include_archived } = request.criteria;
        assert!(conditions.is_empty() && condition_groups.is_empty() && query_words.is_empty() && !include_archived);
        assert_eq!((sorts.len(), request.limit, request.cursor), (1, 10, None));
    }

    #[test]
    fn every_part_of_the_body_is_parsed() {
        let request = parse(
            r#"{"filters": [{"property": "email", "operator": "has_value"}],
                "filter_groups": [{"filters": [{"property": "tags", "operator": "contains", "value": "red"}]}],
                "sorts": ["-shoe_size"], "query": "ada", "properties": ["phone", "tags"], "limit": 100, "after": null,
                "archived": true}"#,
        )
        .expect("a valid search");
        let criteria = request.criteria;
        assert_eq!((criteria.conditions.len(), criteria.condition_groups.len(), criteria.sorts.len()), (1, 1, 2));
        assert_eq!(
            (criteria.query_words, criteria.include_archived, request.limit),
            (vec!["ada".to_owned()], true, 100)
        );
        assert_eq!(request.selection.extra().len(), 2);
    }

    #[rstest]
    #[case(r#"{"limit": 0}"#, &["limit"])]
    #[case(r#"{"limit": 1001}"#, &["limit"])]
    #[case(r#"{"limit": 1.5}"#, &["limit"])]
    #[case(r#"{"limit": "10", "archived": 1, "query": [], "after": 1}"#, &["query", "archived", "limit", "after"])]
    #[case(r#"{"after": ""}"#, &["after"])]
    #[case(r#"{"after": "abc", "limit": 0}"#, &["limit"])]
    #[case(r#"{"filter_groups": [{"filters": []}]}"#, &["filter_groups[0].filters"])]
    #[case(r#"{"filter_groups": [{"filters": [{"property": "x", "operator": "eq"}]}], "sorts": ["y"], "properties": ["z"]}"#,
        &["filter_groups[0].filters[0].property", "sorts[0]", "z"])]
    fn every_invalid_part_is_reported(#[case] body: &str, #[case] expected: &[&str]) {
        let Err(SearchError::InvalidQuery(issues)) = parse(body) else { panic!("{body} is accepted") };
        assert_eq!(paths(&issues), expected);
    }

    #[test]
    fn unknown_properties_alone_are_a_separate_error() {
        let Err(SearchError::InvalidProperties(issues)) = parse(r#"{"properties": ["nope", "phone"]}"#) else {
            panic!("expected unknown properties")
        };
        assert_eq!(paths(&issues), ["nope"]);
    }

    #[test]
    fn number_of_filters_and_groups_is_limited() {
        let filters = |count: usize| vec![r#"{"property": "email", "operator": "has_value"}"#; count].join(",");
        let groups = |count: usize| vec![format!(r#"{{"filters": [{}]}}"#, filters(5)); count].join(",");
        let body = |filter_count: usize, group_count: usize| {
            parse(&format!(r#"{{"filters": [{}], "filter_groups": [{}]}}"#, filters(filter_count), groups(group_count)))
        };
        assert!(body(25, 5).is_ok() && body(50, 0).is_ok());
        for (filter_count, group_count, expected) in
            [(26, 5, vec!["filters"]), (0, 6, vec!["filter_groups"]), (50, 6, vec!["filters", "filter_groups"])]
        {
            let Err(SearchError::InvalidQuery(issues)) = body(filter_count, group_count) else {
                panic!("{filter_count} filters and {group_count} groups are accepted")
            };
            assert_eq!(paths(&issues), expected);
        }
    }
}
