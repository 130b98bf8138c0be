//! One page of a search, read from the body of a request.

use uuid::Uuid;

use super::shape::Shape;
use super::{Condition, Place, Search, SearchError, Sort, filter, words};
use crate::fields::{Issue, IssueCode, Refusal, Registry, Selection};
use crate::json::{Json, Object};

const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;
const MAX_FILTERS: usize = 50;
const MAX_GROUPS: usize = 5;
/// More names than an account can have fields.
const MAX_PROPERTIES: usize = 1_000;

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// What to look for, and in which order.
    pub search: Search,
    /// Where the page before ended; `None` for the first page.
    pub after: Option<Place>,
    /// At most this many contacts.
    pub limit: i64,
    /// What to show of them.
    pub selection: Selection,
}

impl SearchRequest {
    /// Reads the body of `POST /contacts/search`.
    ///
    /// # Errors
    /// [`SearchError`], with every problem that the body has once its shape is right.
    pub fn parse(body: &Object<'_>, account: Uuid, registry: &Registry) -> Result<Self, SearchError> {
        let shape = Shape::read(body)?;
        let mut found = Found::default();
        let (conditions, groups) = filters(&shape, registry, &mut found);
        let words = found.or_default("query", shape.query.map_or(Ok(vec![]), query));
        let sorts = found.all_or_default(Sort::parse(&shape.sorts, registry));
        let archived = found.or_default("archived", shape.archived.map_or(Ok(false), flag));
        let limit = found.or_default("limit", shape.limit.map_or(Ok(DEFAULT_LIMIT), limit));
        let search = Search { conditions, groups, words, sorts, archived };
        // Whose search it is can only be told when all of that is understood.
        let read = |json: &Json<'_>| place(json, account, &search, found.0.is_empty());
        let after = shape.after.map(read).transpose();
        let after = found.or_default("after", after);
        let selection = properties(&shape.properties, registry);
        match selection {
            Ok(selection) if found.0.is_empty() => Ok(Self { search, after: after.flatten(), limit, selection }),
            Err(unknown) if found.0.is_empty() => Err(SearchError::Properties(unknown)),
            selection => {
                found.0.extend(selection.err().unwrap_or_default());
                Err(SearchError::Query(found.0))
            }
        }
    }
}

/// What was found wrong so far: all of it is said at once.
#[derive(Default)]
struct Found(Vec<Issue>);

impl Found {
    fn or_default<T: Default>(&mut self, place: &str, parsed: Result<T, Refusal>) -> T {
        self.all_or_default(parsed.map_err(|refusal| vec![refusal.of(place)]))
    }

    fn all_or_default<T: Default>(&mut self, parsed: Result<T, Vec<Issue>>) -> T {
        parsed.unwrap_or_else(|issues| {
            self.0.extend(issues);
            T::default()
        })
    }
}

/// The filters that stand alone, and those in groups; none where there are too many.
fn filters(shape: &Shape<'_>, registry: &Registry, found: &mut Found) -> (Vec<Condition>, Vec<Vec<Condition>>) {
    let count = shape.filters.len() + shape.groups.iter().map(Vec::len).sum::<usize>();
    if count > MAX_FILTERS || shape.groups.len() > MAX_GROUPS {
        let too_long = |place, message| Issue::new(place, IssueCode::TooLong, message);
        if count > MAX_FILTERS {
            found
                .0
                .push(too_long("filters", format!("must be at most {MAX_FILTERS}, those of filter_groups included")));
        }
        if shape.groups.len() > MAX_GROUPS {
            found.0.push(too_long("filter_groups", format!("must be at most {MAX_GROUPS}")));
        }
        return (vec![], vec![]);
    }
    let conditions = conditions(&shape.filters, "filters", registry, found);
    let mut groups = vec![];
    for (index, filters) in shape.groups.iter().enumerate() {
        let place = format!("filter_groups[{index}].filters");
        if filters.is_empty() {
            // It would find every contact, whatever the other groups say.
            found.0.push(Issue::new(&*place, IssueCode::Required, "must hold at least one filter"));
        }
        groups.push(self::conditions(filters, &place, registry, found));
    }
    (conditions, groups)
}

fn conditions(filters: &[&Object<'_>], place: &str, registry: &Registry, found: &mut Found) -> Vec<Condition> {
    let parse = |(index, filter): (usize, &&Object<'_>)| {
        let condition = filter::parse(filter, &format!("{place}[{index}]"), registry);
        found.all_or_default(condition.map(Some))
    };
    filters.iter().enumerate().filter_map(parse).collect()
}

fn query(json: &Json<'_>) -> Result<Vec<String>, Refusal> {
    match json {
        Json::String(text) => words::parse(text),
        _ => Err(Refusal::new(IssueCode::InvalidType, "must be a string of words")),
    }
}

fn flag(json: &Json<'_>) -> Result<bool, Refusal> {
    match json {
        Json::Bool(flag) => Ok(*flag),
        _ => Err(Refusal::new(IssueCode::InvalidType, "must be true or false")),
    }
}

fn limit(json: &Json<'_>) -> Result<i64, Refusal> {
    let rule = "must be a whole number from 1 to 100";
    let Json::Number(digits) = json else { return Err(Refusal::new(IssueCode::InvalidType, rule)) };
    let limit = digits.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Refusal::new(IssueCode::OutOfRange, rule))
}

/// `None` where the search itself is not understood, so that nobody is told that the cursor is at fault.
fn place(json: &Json<'_>, account: Uuid, search: &Search, understood: bool) -> Result<Option<Place>, Refusal> {
    let Json::String(cursor) = json else {
        return Err(Refusal::new(IssueCode::InvalidType, "must be a string, the `next` of the page before"));
    };
    if !understood {
        return Ok(None);
    }
    let message = "must be the `next` of an answer to the same search: only limit and properties may differ";
    Place::read(cursor, account, search).map(Some).ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, message))
}

fn properties(names: &[&str], registry: &Registry) -> Result<Selection, Vec<Issue>> {
    if names.len() > MAX_PROPERTIES {
        let message = format!("must be at most {MAX_PROPERTIES} names");
        return Err(vec![Issue::new("properties", IssueCode::TooLong, message)]);
    }
    Selection::parse(names.iter().copied(), registry)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fields::registry_samples as samples;
    use crate::json;

    fn parse(body: &str) -> Result<SearchRequest, SearchError> {
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        SearchRequest::parse(&body, Uuid::nil(), &samples::registry())
    }

    fn places(issues: &[Issue]) -> Vec<&str> {
        issues.iter().map(|issue| &*issue.field).collect()
    }

    #[test]
    fn an_empty_body_finds_all_active_contacts() {
        let request = parse("{}").expect("a search");
        let Search { conditions, groups, words, sorts, archived } = request.search;
        assert!(conditions.is_empty() && groups.is_empty() && words.is_empty() && !archived);
        assert_eq!((sorts.len(), request.limit, request.after), (1, 10, None));
    }

    #[test]
    fn reads_every_part() {
        let request = parse(
            r#"{"filters": [{"property": "email", "operator": "has_value"}],
                "filter_groups": [{"filters": [{"property": "tags", "operator": "contains", "value": "red"}]}],
                "sorts": ["-shoe_size"], "query": "ada", "properties": ["phone", "tags"], "limit": 100, "after": null,
                "archived": true}"#,
        )
        .expect("a search");
        let search = request.search;
        assert_eq!((search.conditions.len(), search.groups.len(), search.sorts.len()), (1, 1, 2));
        assert_eq!((search.words, search.archived, request.limit), (vec!["ada".to_owned()], true, 100));
        assert_eq!(request.selection.extra().len(), 2);
    }

    #[rstest]
    #[case(r#"{"limit": 0}"#, &["limit"])]
    #[case(r#"{"limit": 101}"#, &["limit"])]
    #[case(r#"{"limit": 1.5}"#, &["limit"])]
    #[case(r#"{"limit": "10", "archived": 1, "query": [], "after": 1}"#, &["query", "archived", "limit", "after"])]
    #[case(r#"{"after": ""}"#, &["after"])]
    #[case(r#"{"after": "abc", "limit": 0}"#, &["limit"])]
    #[case(r#"{"filter_groups": [{"filters": []}]}"#, &["filter_groups[0].filters"])]
    #[case(r#"{"filter_groups": [{"filters": [{"property": "x", "operator": "eq"}]}], "sorts": ["y"], "properties": ["z"]}"#,
        &["filter_groups[0].filters[0].property", "sorts[0]", "z"])]
    fn names_every_malformed_part(#[case] body: &str, #[case] expected: &[&str]) {
        let Err(SearchError::Query(issues)) = parse(body) else { panic!("{body}") };
        assert_eq!(places(&issues), expected);
    }

    #[test]
    fn tells_unknown_properties_from_a_malformed_search() {
        let Err(SearchError::Properties(issues)) = parse(r#"{"properties": ["nope", "phone"]}"#) else { panic!() };
        assert_eq!(places(&issues), ["nope"]);
    }

    #[test]
    fn bounds_filters_and_groups() {
        let filters = |count: usize| vec![r#"{"property": "email", "operator": "has_value"}"#; count].join(",");
        let groups = |count: usize| vec![format!(r#"{{"filters": [{}]}}"#, filters(5)); count].join(",");
        let body = |alone: usize, grouped: usize| {
            parse(&format!(r#"{{"filters": [{}], "filter_groups": [{}]}}"#, filters(alone), groups(grouped)))
        };
        assert!(body(25, 5).is_ok() && body(50, 0).is_ok());
        for (alone, grouped, expected) in
            [(26, 5, vec!["filters"]), (0, 6, vec!["filter_groups"]), (50, 6, vec!["filters", "filter_groups"])]
        {
            let Err(SearchError::Query(issues)) = body(alone, grouped) else { panic!("{alone} {grouped}") };
            assert_eq!(places(&issues), expected);
        }
    }
}
