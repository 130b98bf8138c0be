//! Query parameters, read by the rules of contract §1: strict in what they mean, unknown ones ignored.

use std::borrow::Cow;
use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::error::ApiError;
use super::state::App;
use crate::contacts::{Cursor, Filter, Listing, Start};
use crate::fields::{Issue, IssueCode, Refusal, Registry, Selection};

const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;

/// The parameters of a query, decoded.
pub(super) struct Query(HashMap<String, Vec<String>>);

impl FromRequestParts<App> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let mut parameters: HashMap<String, Vec<String>> = HashMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value)).ok_or_else(|| {
                let name = String::from_utf8_lossy(&percent_decode_str(name).collect::<Vec<_>>()).into_owned();
                ApiError::InvalidQuery(vec![Issue::new(name, IssueCode::InvalidFormat, "is not percent-encoded UTF-8")])
            })?;
            parameters.entry(decoded.0.into_owned()).or_default().push(decoded.1.into_owned());
        }
        Ok(Self(parameters))
    }

    /// The fields that an answer is to show: every `properties`, as one list.
    pub(super) fn selection(&self, registry: &Registry) -> Result<Selection, ApiError> {
        self.parse_selection(registry).map_err(ApiError::InvalidProperties)
    }

    fn parse_selection(&self, registry: &Registry) -> Result<Selection, Vec<Issue>> {
        let lists = self.0.get("properties").map(Vec::as_slice).unwrap_or_default();
        Selection::parse(lists.iter().flat_map(|list| list.split(',')), registry)
    }

    /// All parameters of a list: which contacts, from where, how many, and what to show of them.
    pub(super) fn listing(&self, account: Uuid, registry: &Registry) -> Result<(Listing, Selection), ApiError> {
        let mut found = Found::default();
        let rule = "must be a number from 1 to 100";
        let limit = found.or(DEFAULT_LIMIT, self.one("limit", |text| number(text, 1, MAX_LIMIT, rule)));
        let archived = found.or(false, self.one("archived", flag));
        let email = found.optional(self.one("email", key)).map(|email| email.trim().to_owned());
        let external_id = found.optional(self.one("external_id", key));
        let filter = Filter { archived, email, external_id };
        let start = self.start(account, &filter, &mut found);
        let Found(mut issues) = found;
        let selection = self.parse_selection(registry);
        match selection {
            Ok(selection) if issues.is_empty() => Ok((Listing { filter, start, limit }, selection)),
            Err(unknown) if issues.is_empty() => Err(ApiError::InvalidProperties(unknown)),
            selection => {
                issues.extend(selection.err().unwrap_or_default());
                Err(ApiError::InvalidQuery(issues))
            }
        }
    }

    fn start(&self, account: Uuid, filter: &Filter, found: &mut Found) -> Start {
        let rule = "must be a number from 0 up";
        let offset = found.optional(self.one("offset", |text| number(text, 0, i64::MAX, rule)));
        let after = found.optional(self.one("after", |text| {
            let message = "must be the `next` of an answer to the same list with the same filters";
            Cursor::read(text, account, filter).ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, message))
        }));
        if self.0.contains_key("offset") && self.0.contains_key("after") {
            let message = "can't be sent together with after";
            found.0.push(Issue::new("offset", IssueCode::InvalidFormat, message));
        }
        after.map_or(Start::Offset(offset.unwrap_or(0)), Start::After)
    }

    /// The value of a parameter that is sent at most once.
    fn one<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, Refusal>) -> Result<Option<T>, Issue> {
        match self.0.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([value]) => parse(value).map(Some).map_err(|refusal| refusal.of(name)),
            Some(_) => Err(Issue::new(name, IssueCode::InvalidFormat, "must be sent once")),
        }
    }
}

/// What was found wrong with a query so far: all of it is said at once.
#[derive(Default)]
struct Found(Vec<Issue>);

impl Found {
    /// The value of a parameter; none also when it is malformed.
    fn optional<T>(&mut self, parsed: Result<Option<T>, Issue>) -> Option<T> {
        parsed.unwrap_or_else(|issue| {
            self.0.push(issue);
            None
        })
    }

    /// The value of a parameter, or the default.
    fn or<T>(&mut self, default: T, parsed: Result<Option<T>, Issue>) -> T {
        self.optional(parsed).unwrap_or(default)
    }
}

/// A part of a query in form encoding: `+` is a blank. `None` when it is not UTF-8.
pub(super) fn decode(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains(['+', '%']) {
        return Some(part.into());
    }
    let part = part.replace('+', " ");
    percent_decode_str(&part).decode_utf8().ok().map(|text| text.into_owned().into())
}

fn number(text: &str, low: i64, high: i64, rule: &'static str) -> Result<i64, Refusal> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::new(IssueCode::InvalidFormat, rule));
    }
    let number = text.parse().ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| Refusal::new(IssueCode::OutOfRange, rule))
}

fn flag(text: &str) -> Result<bool, Refusal> {
    text.parse().map_err(|_| Refusal::new(IssueCode::InvalidFormat, "must be true or false"))
}

fn key(text: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new(IssueCode::Required, "must not be blank: leave the parameter out to list all"));
    }
    // PostgreSQL holds no NUL.
    if text.contains('\0') {
        return Err(Refusal::new(IssueCode::InvalidFormat, "must not contain the character U+0000"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fields::registry_samples as samples;

    fn listing(query: &str) -> Result<Listing, (&'static str, Vec<String>)> {
        let parse = |query: &str| Query::parse(query)?.listing(Uuid::nil(), &samples::registry());
        parse(query).map(|(listing, _)| listing).map_err(|error| match error {
            ApiError::InvalidQuery(issues) => ("invalid_query", issues.into_iter().map(|issue| issue.field).collect()),
            ApiError::InvalidProperties(issues) => {
                ("invalid_properties", issues.into_iter().map(|issue| issue.field).collect())
            }
            other => (other.catalogue().1, vec![]),
        })
    }

    #[test]
    fn reads_a_list() {
        let all = Listing { filter: Filter::default(), start: Start::Offset(0), limit: 10 };
        assert_eq!(listing(""), Ok(all.clone()));
        assert_eq!(
            listing("unknown=1&limit=100&&offset=7"),
            Ok(Listing { start: Start::Offset(7), limit: 100, ..all.clone() })
        );
        let filter = Filter { archived: true, email: Some("a+b@c.de".into()), external_id: Some(" x y".into()) };
        assert_eq!(listing("archived=true&email=+a%2Bb@c.de&external_id=+x+y"), Ok(Listing { filter, ..all.clone() }));
        let cursor = Cursor::after(Uuid::max(), Uuid::nil(), &Filter::default());
        assert_eq!(listing(&format!("after={cursor}")), Ok(Listing { start: Start::After(Uuid::max()), ..all }));
    }

    #[rstest]
    #[case("limit=abc", &["limit"])]
    #[case("limit=0", &["limit"])]
    #[case("limit=101", &["limit"])]
    #[case("limit=", &["limit"])]
    #[case("limit=%2B5", &["limit"])]
    #[case("limit=1&limit=2", &["limit"])]
    #[case("offset=-1&archived=yes", &["archived", "offset"])]
    #[case("offset=99999999999999999999", &["offset"])]
    #[case("email=&external_id=%00", &["email", "external_id"])]
    #[case("after=abc", &["after"])]
    #[case("offset=x&after=q", &["offset", "after", "offset"])]
    #[case("limit=0&properties=nope", &["limit", "nope"])]
    #[case("x=%ff", &["x"])]
    #[case("%c3%28=1", &["\u{fffd}("])]
    fn names_every_malformed_parameter(#[case] query: &str, #[case] names: &[&str]) {
        assert_eq!(listing(query), Err(("invalid_query", names.iter().map(|name| (*name).to_owned()).collect())));
    }

    #[test]
    fn tells_unknown_properties_from_a_malformed_query() {
        assert_eq!(
            listing("properties=nope,phone&properties=neither"),
            Err(("invalid_properties", vec!["nope".into(), "neither".into()]))
        );
        let cursor = Cursor::after(Uuid::max(), Uuid::nil(), &Filter::default());
        assert_eq!(listing(&format!("after={cursor}&offset=0")), Err(("invalid_query", vec!["offset".into()])));
        assert_eq!(listing(&format!("after={cursor}&archived=true")), Err(("invalid_query", vec!["after".into()])));
    }
}
