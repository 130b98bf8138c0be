//! The query of a list of contacts.

use uuid::Uuid;

use super::query_issues::QueryIssues;
use super::query_string::{QueryString, parse_bool, parse_number};
use crate::contacts::{ListCursor, ListFilter, ListRequest, ListStart};
use crate::fields::{CustomSelection, InvalidValue, Issue, IssueCode, Registry, Selection};
use crate::http::error::ApiError;

const DEFAULT_LIMIT: i64 = 10;
/// The maximum number of contacts of a page.
pub(in crate::http) const MAX_CONTACTS_LIMIT: i64 = 1_000;

/// The query of a list of contacts.
pub(in crate::http) struct ListQuery {
    pub request: ListRequest,
    /// The fields to return.
    pub selection: Selection,
}

impl ListQuery {
    pub(in crate::http) fn parse(query: &QueryString, account: Uuid, registry: &Registry) -> Result<Self, ApiError> {
        let mut issues = QueryIssues::for_query(query);
        let limit =
            query.single("limit", |text| parse_number(text, 1, MAX_CONTACTS_LIMIT, "must be a number from 1 to 1000"));
        let limit = issues.or_default(DEFAULT_LIMIT, limit);
        let include_archived = issues.or_default(false, query.single("archived", parse_bool));
        let email = query.single("email", |text| parse_email_filter(text, query.has_plus("email")));
        let email = issues.optional(email);
        let external_id = issues.optional(query.single("external_id", parse_filter));
        let filter = ListFilter { include_archived, email, external_id };
        let start = parse_start(query, account, &filter, &mut issues);
        let selection = issues.into_result_with(query.selection(registry))?;
        let custom_fields = CustomSelection::from(&selection);
        Ok(Self { request: ListRequest { filter, start, limit, custom_fields }, selection })
    }
}

/// Parses `offset` and `after`, which exclude each other.
fn parse_start(query: &QueryString, account: Uuid, filter: &ListFilter, issues: &mut QueryIssues) -> ListStart {
    let offset = query.single("offset", |text| parse_number(text, 0, i64::MAX, "must be a number, 0 or more"));
    let offset = issues.optional(offset);
    let after = issues.optional(query.single("after", |text| {
        let message = "must be the `next` of a page of the same list, with the same filters";
        ListCursor::decode(text, account, filter).ok_or_else(|| InvalidValue::new(IssueCode::InvalidFormat, message))
    }));
    if query.contains("offset") && query.contains("after") {
        issues.push(Issue::new("offset", IssueCode::InvalidFormat, "cannot be combined with after"));
    }
    after.map_or(ListStart::Offset(offset.unwrap_or(0)), ListStart::After)
}

/// Parses the value of a filter by email. `has_plus`: a `+` in the query has become a space, which no email contains.
fn parse_email_filter(text: &str, has_plus: bool) -> Result<String, InvalidValue> {
    if has_plus {
        return Err(InvalidValue::new(IssueCode::InvalidFormat, "contains a space: encode + as %2B"));
    }
    parse_filter(text.trim())
}

/// Parses the value of a filter by a unique property.
fn parse_filter(text: &str) -> Result<String, InvalidValue> {
    if text.is_empty() {
        let message = "must not be empty. Leave the parameter out to list all contacts";
        return Err(InvalidValue::new(IssueCode::Required, message));
    }
    // PostgreSQL cannot store NUL.
    if text.contains('\0') {
        return Err(InvalidValue::new(IssueCode::InvalidFormat, "must not contain the character U+0000"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fields::registry_fixtures as fixtures;

    /// Parses a query. Returns the code of the error and the names in its details.
    fn parse(query: &str) -> Result<ListRequest, (&'static str, Vec<String>)> {
        let parsed =
            QueryString::parse(query).and_then(|query| ListQuery::parse(&query, Uuid::nil(), &fixtures::registry()));
        parsed.map(|query| query.request).map_err(|error| {
            let code = error.code();
            match error {
                ApiError::InvalidQuery(issues) | ApiError::InvalidProperties(issues) => {
                    (code, issues.into_iter().map(|issue| issue.field).collect())
                }
                _ => (code, vec![]),
            }
        })
    }

    #[test]
    fn list_query_is_parsed() {
        let custom_fields = CustomSelection::default();
        let all = ListRequest { filter: ListFilter::default(), start: ListStart::Offset(0), limit: 10, custom_fields };
        assert_eq!(parse(""), Ok(all.clone()));
        assert_eq!(
            parse("unknown=1&limit=100&&offset=7"),
            Ok(ListRequest { start: ListStart::Offset(7), limit: 100, ..all.clone() })
        );
        let filter =
            ListFilter { include_archived: true, email: Some("a+b@c.de".into()), external_id: Some(" x y".into()) };
        assert_eq!(
            parse("archived=true&email=%20a%2Bb@c.de+&external_id=+x+y"),
            Ok(ListRequest { filter, ..all.clone() })
        );
        let cursor = ListCursor::encode_after(Uuid::max(), Uuid::nil(), &ListFilter::default());
        assert_eq!(parse(&format!("after={cursor}")), Ok(ListRequest { start: ListStart::After(Uuid::max()), ..all }));
    }

    #[rstest]
    #[case("limit=abc", &["limit"])]
    #[case("limit=0", &["limit"])]
    #[case("limit=1001", &["limit"])]
    #[case("limit=", &["limit"])]
    #[case("limit=%2B5", &["limit"])]
    #[case("limit=1&limit=2", &["limit"])]
    #[case("offset=-1&archived=yes", &["archived", "offset"])]
    #[case("offset=99999999999999999999", &["offset"])]
    #[case("email=&external_id=%00", &["email", "external_id"])]
    #[case("email=a+b@c.de&external_id=a+b", &["email"])]
    #[case("email=+a@c.de", &["email"])]
    #[case("after=abc", &["after"])]
    #[case("offset=x&after=q", &["offset", "after", "offset"])]
    #[case("limit=0&properties=nope", &["limit", "nope"])]
    #[case("x=%ff", &["x"])]
    #[case("%c3%28=1", &["\u{fffd}("])]
    fn every_malformed_parameter_is_reported(#[case] query: &str, #[case] names: &[&str]) {
        assert_eq!(parse(query), Err(("invalid_query", names.iter().map(|name| (*name).to_owned()).collect())));
    }

    #[test]
    fn unknown_properties_alone_have_their_own_code() {
        assert_eq!(
            parse("properties=nope,phone&properties=neither"),
            Err(("invalid_properties", vec!["nope".into(), "neither".into()]))
        );
        let cursor = ListCursor::encode_after(Uuid::max(), Uuid::nil(), &ListFilter::default());
        assert_eq!(parse(&format!("after={cursor}&offset=0")), Err(("invalid_query", vec!["offset".into()])));
        assert_eq!(parse(&format!("after={cursor}&archived=true")), Err(("invalid_query", vec!["after".into()])));
    }
}
