//! Query parameters, read by the rules of contract §1: strict in what they mean, unknown ones ignored.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::error::ApiError;
use super::state::App;
use crate::contacts::{Cursor, FeedCursor, Filter, Listing, Scope, Start};
use crate::fields::{Field, Issue, IssueCode, Refusal, Registry, Selection, system};
use crate::repository::{After, FeedRequest};

const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;
const DEFAULT_FEED_LIMIT: i64 = 100;
const MAX_FEED_LIMIT: i64 = 1_000;
/// For how many seconds a reader of the feed can wait.
const MAX_WAIT: i64 = 30;

/// What a route for one contact takes besides `properties`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes {
    /// Whether it writes, and so can be tried.
    pub dry_run: bool,
    /// How it names its contact.
    pub addressing: Addressing,
    /// Whether its body is `{"fields": {…}}`.
    pub fields: bool,
}

/// How a route names its contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addressing {
    /// By id, or not at all.
    Id,
    /// By id, or by the property that `id_property` names.
    Either,
    /// By the property that `id_property` names.
    Property,
}

/// What the query of a request for one contact asks.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The unique property that the path holds a value of; `None` for an id.
    pub property: Option<Arc<Field>>,
    /// What to show.
    pub selection: Selection,
    /// Whether the write is only tried.
    pub dry_run: bool,
}

/// A query of a route that takes no parameters.
pub(super) struct NoParameters;

impl FromRequestParts<App> for NoParameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, app).await?.plain().map(|()| Self)
    }
}

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

    /// What a request for one contact asks: how the contact is named, what to show of it, whether to write at all.
    pub(super) fn contact(&self, registry: &Registry, takes: Takes) -> Result<Asked, ApiError> {
        let mut found = Found::default();
        let dry_run =
            if takes.dry_run { found.or(false, self.one("dry_run", flag)) } else { self.no_dry_run(&mut found) };
        let property = match takes.addressing {
            Addressing::Id => None,
            Addressing::Either => {
                let property = found.optional(self.one("id_property", |name| unique_property(registry, name)));
                // By id is what it is without the parameter.
                property.filter(|field| field.id != system::ID)
            }
            Addressing::Property => found.needed(
                "id_property",
                self.one("id_property", |name| {
                    unique_property(registry, name).and_then(|field| match field.id {
                        system::ID => {
                            Err(Refusal::new(IssueCode::InvalidFormat, "must not be id: ids are given by us"))
                        }
                        _ => Ok(field),
                    })
                }),
            ),
        };
        let selection = found.finish(self.selection(registry))?;
        Ok(Asked { property, selection, dry_run })
    }

    /// Whether a batch is only to be tried.
    pub(super) fn batch(&self) -> Result<bool, ApiError> {
        let mut found = Found::default();
        let dry_run = found.or(false, self.one("dry_run", flag));
        found.finish(Ok(())).map(|()| dry_run)
    }

    /// Which part of the feed is asked for, and for how many seconds to wait for it. `actor` is who asks.
    pub(super) fn feed(&self, account: Uuid, actor: Option<&str>) -> Result<(FeedRequest, u64), ApiError> {
        let mut found = Found::default();
        self.no_dry_run(&mut found);
        let rule = "must be a number from 1 to 1000";
        let limit = found.or(DEFAULT_FEED_LIMIT, self.one("limit", |text| number(text, 1, MAX_FEED_LIMIT, rule)));
        let rule = "must be a number of seconds from 0 to 30";
        let wait = found.or(0, self.one("wait", |text| number(text, 0, MAX_WAIT, rule)));
        let after = found.or(
            After::Oldest,
            self.one("after", |text| match text {
                "now" => Ok(After::Newest),
                text => feed_cursor(text, Scope::Feed(account)).map(After::Cursor),
            }),
        );
        let exclude = found.optional(self.one("exclude_actor", |text| match text {
            "me" => Ok(actor.map(str::to_owned)),
            "" => Err(Refusal::new(IssueCode::Required, "must be me or an actor's id")),
            // PostgreSQL holds no NUL, and no actor has one.
            id if id.contains('\0') => Err(Refusal::new(IssueCode::InvalidFormat, "must be me or an actor's id")),
            id => Ok(Some(id.to_owned())),
        }));
        found.finish(Ok(()))?;
        Ok((FeedRequest { after, limit, exclude }, wait.unsigned_abs()))
    }

    /// Which part of a contact's history is asked for: before which position, and how much of it.
    pub(super) fn history(&self, account: Uuid, contact: Uuid) -> Result<(Option<i64>, i64), ApiError> {
        let mut found = Found::default();
        self.no_dry_run(&mut found);
        let rule = "must be a number from 1 to 1000";
        let limit = found.or(DEFAULT_FEED_LIMIT, self.one("limit", |text| number(text, 1, MAX_FEED_LIMIT, rule)));
        // Its entries are those of the feed, and so are their cursors.
        let after = found.optional(self.one("after", |text| {
            let of_entry = |_| feed_cursor(text, Scope::Feed(account));
            feed_cursor(text, Scope::History(account, contact)).or_else(of_entry)
        }));
        found.finish(Ok(()))?;
        Ok((after.map(|cursor| cursor.position()), limit))
    }

    /// For how many seconds a request is to wait, should it be one that can.
    pub(super) fn wait_of(query: Option<&str>) -> u64 {
        let wait = Self::parse(query.unwrap_or_default())
            .ok()
            .and_then(|query| query.one("wait", |text| number(text, 0, MAX_WAIT, "")).ok().flatten());
        wait.unwrap_or(0).unsigned_abs()
    }

    /// Whether a contact is named by a property instead of its id.
    pub(super) fn names_property(query: Option<&str>) -> bool {
        query.is_some_and(|query| Self::parse(query).is_ok_and(|query| query.0.contains_key("id_property")))
    }

    /// Nothing that a route takes which has no parameters.
    fn plain(&self) -> Result<(), ApiError> {
        let mut found = Found::default();
        self.no_dry_run(&mut found);
        found.finish(Ok(()))
    }

    /// Refuses `dry_run` where nothing is written anyway: who sends it expects something else (contract §6).
    fn no_dry_run(&self, found: &mut Found) -> bool {
        if self.0.contains_key("dry_run") {
            let message = "is for routes that write contacts: leave it out";
            found.0.push(Issue::new("dry_run", IssueCode::InvalidFormat, message));
        }
        false
    }

    /// The fields that an answer is to show: every `properties`, as one list.
    fn selection(&self, registry: &Registry) -> Result<Selection, Vec<Issue>> {
        let lists = self.0.get("properties").map(Vec::as_slice).unwrap_or_default();
        Selection::parse(lists.iter().flat_map(|list| list.split(',')), registry)
    }

    /// All parameters of a list: which contacts, from where, how many, and what to show of them.
    pub(super) fn listing(&self, account: Uuid, registry: &Registry) -> Result<(Listing, Selection), ApiError> {
        let mut found = Found::default();
        self.no_dry_run(&mut found);
        let rule = "must be a number from 1 to 100";
        let limit = found.or(DEFAULT_LIMIT, self.one("limit", |text| number(text, 1, MAX_LIMIT, rule)));
        let archived = found.or(false, self.one("archived", flag));
        let email = found.optional(self.one("email", key)).map(|email| email.trim().to_owned());
        let external_id = found.optional(self.one("external_id", key));
        let filter = Filter { archived, email, external_id };
        let start = self.start(account, &filter, &mut found);
        let selection = found.finish(self.selection(registry))?;
        Ok((Listing { filter, start, limit }, selection))
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

    /// The value of a parameter that has to be sent.
    fn needed<T>(&mut self, name: &str, parsed: Result<Option<T>, Issue>) -> Option<T> {
        let parsed =
            parsed.and_then(|value| value.ok_or_else(|| Issue::new(name, IssueCode::Required, "is needed here")));
        self.optional(parsed.map(Some))
    }

    /// What was asked for, if all of the query is right. Unknown properties have a code of their own, when nothing else
    /// is wrong.
    fn finish<T>(self, selection: Result<T, Vec<Issue>>) -> Result<T, ApiError> {
        let Self(mut issues) = self;
        match selection {
            Ok(selection) if issues.is_empty() => Ok(selection),
            Err(unknown) if issues.is_empty() => Err(ApiError::InvalidProperties(unknown)),
            selection => {
                issues.extend(selection.err().unwrap_or_default());
                Err(ApiError::InvalidQuery(issues))
            }
        }
    }

    /// The value of a parameter, or the default.
    fn or<T>(&mut self, default: T, parsed: Result<Option<T>, Issue>) -> T {
        self.optional(parsed).unwrap_or(default)
    }
}

/// The unique field of this name.
pub(super) fn unique_property(registry: &Registry, name: &str) -> Result<Arc<Field>, Refusal> {
    let message = "must be the name of a unique property: id, email, external_id or a unique custom field";
    let field = registry.get(name).filter(|field| field.unique);
    field.cloned().ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, message))
}

fn feed_cursor(text: &str, scope: Scope) -> Result<FeedCursor, Refusal> {
    let message = "must be the `next` or a `cursor` of an answer to the same request";
    FeedCursor::read(text, scope).ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, message))
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
