//! A query string and the parsing of its parameters. Parsing is strict.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::declared_parameters::{DeclaredParameters, unknown_parameter};
use crate::fields::{InvalidValue, Issue, IssueCode, Issues, Registry, Selection};
use crate::http::error::ApiError;

/// The decoded parameters of a query string.
#[derive(Default)]
pub(in crate::http) struct QueryString {
    /// The values of each name, in the order sent.
    values: HashMap<String, Vec<String>>,
    /// The names of which a value has a `+` that is not at its end.
    names_with_plus: Vec<String>,
    /// An issue for each parameter that the route does not have.
    unknown: Vec<Issue>,
}

impl<S: Send + Sync> FromRequestParts<S> for QueryString {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(text) = parts.uri.query() else { return Ok(Self::default()) };
        let mut query = Self::parse(text)?;
        if let Some(declared) = DeclaredParameters::for_request(parts) {
            query.reject_unknown_names(text, declared);
        }
        Ok(query)
    }
}

impl QueryString {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode_form_component(name).zip(decode_form_component(value));
            let (name, decoded) = decoded.ok_or_else(|| {
                let name = String::from_utf8_lossy(&percent_decode_str(name).collect::<Vec<_>>()).into_owned();
                let message = "must be percent-encoded UTF-8";
                ApiError::InvalidQuery([Issue::new(name, IssueCode::InvalidFormat, message)].into())
            })?;
            if value.trim_end_matches('+').contains('+') {
                query.names_with_plus.push(name.clone().into_owned());
            }
            query.values.entry(name.into_owned()).or_default().push(decoded.into_owned());
        }
        Ok(query)
    }

    /// Records an issue for each name that is not declared, in the order sent.
    fn reject_unknown_names(&mut self, text: &str, declared: &[String]) {
        if self.values.keys().all(|name| declared.contains(name)) {
            return;
        }
        let mut seen = HashSet::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            let name = decode_form_component(name).filter(|name| !declared.iter().any(|known| known == name));
            if let Some(name) = name.filter(|name| seen.insert(name.clone())) {
                self.unknown.push(unknown_parameter(&name, declared));
            }
        }
    }

    /// Returns an issue for each parameter that the route does not have.
    pub(super) fn unknown_parameters(&self) -> &[Issue] {
        &self.unknown
    }

    /// Returns whether a value of this parameter was sent with a `+`, which decodes to a space. A `+` at the end of the
    /// value does not count.
    pub(super) fn has_plus(&self, name: &str) -> bool {
        self.names_with_plus.iter().any(|sent| sent == name)
    }

    /// Returns whether a query contains `id_property`: the path then holds the value of a property instead of an id.
    pub(in crate::http) fn has_id_property(query: Option<&str>) -> bool {
        query.is_some_and(|query| Self::parse(query).is_ok_and(|query| query.contains("id_property")))
    }

    pub(in crate::http) fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Returns the fields to return in addition to the default fields. All `properties` parameters count as one list.
    ///
    /// # Errors
    /// An issue for each unknown name.
    pub(super) fn selection(&self, registry: &Registry) -> Result<Selection, Issues> {
        let lists = self.values.get("properties").map(Vec::as_slice).unwrap_or_default();
        Selection::parse(lists.iter().flat_map(|list| list.split(',')), registry)
    }

    /// Parses the value of a parameter that can be sent only once. Returns `None` if it is not sent.
    pub(super) fn single<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, InvalidValue>,
    ) -> Result<Option<T>, Issue> {
        match self.values.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([value]) => parse(value).map(Some).map_err(|invalid| invalid.for_field(name)),
            Some(_) => Err(Issue::new(name, IssueCode::InvalidFormat, "must be sent only once")),
        }
    }
}

/// Decodes a name or value in form encoding, where `+` is a space. Returns `None` if it is not UTF-8.
pub(in crate::http) fn decode_form_component(component: &str) -> Option<Cow<'_, str>> {
    if !component.contains(['+', '%']) {
        return Some(component.into());
    }
    let component = component.replace('+', " ");
    percent_decode_str(&component).decode_utf8().ok().map(|text| text.into_owned().into())
}

/// Parses a number from `min` to `max`. Accepts only decimal digits, without a sign.
pub(super) fn parse_number(text: &str, min: i64, max: i64, message: &'static str) -> Result<i64, InvalidValue> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidValue::new(IssueCode::InvalidFormat, message));
    }
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| InvalidValue::new(IssueCode::OutOfRange, message))
}

pub(super) fn parse_bool(text: &str) -> Result<bool, InvalidValue> {
    text.parse().map_err(|_| InvalidValue::new(IssueCode::InvalidFormat, "must be true or false"))
}
