//! Query parameters, read by the rules of contract §1: strict in what they mean, unknown ones ignored. A file for each
//! kind of request.

mod contact;
mod feed;
mod found;
mod list;

use std::borrow::Cow;
use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::error::ApiError;
use super::state::App;
use crate::fields::{Issue, IssueCode, Refusal, Registry, Selection};
pub(super) use contact::{Addressing, Asked, Takes, unique_property};
use found::Found;

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

    /// The value of a parameter that is sent at most once.
    fn one<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, Refusal>) -> Result<Option<T>, Issue> {
        match self.0.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([value]) => parse(value).map(Some).map_err(|refusal| refusal.of(name)),
            Some(_) => Err(Issue::new(name, IssueCode::InvalidFormat, "must be sent once")),
        }
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
