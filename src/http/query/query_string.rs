//! A query string and the parsing of its parameters. Parsing is strict, but ignores unknown parameters.

use std::borrow::Cow;
use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::fields::{InvalidValue, Issue, IssueCode, Registry, Selection};
use crate::http::error::ApiError;

/// The decoded parameters of a query string: the values of each name, in the order sent.
pub(in crate::http) struct QueryString(HashMap<String, Vec<String>>);

impl<S: Send + Sync> FromRequestParts<S> for QueryString {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl QueryString {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut parameters: HashMap<String, Vec<String>> = HashMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode_form_component(name).zip(decode_form_component(value));
            let (name, value) = decoded.ok_or_else(|| {
                let name = String::from_utf8_lossy(&percent_decode_str(name).collect::<Vec<_>>()).into_owned();
                let message = "must be percent-encoded UTF-8";
                ApiError::InvalidQuery(vec![Issue::new(name, IssueCode::InvalidFormat, message)])
            })?;
            parameters.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Ok(Self(parameters))
    }

    /// Returns whether a query contains `id_property`: the path then holds the value of a property instead of an id.
    pub(in crate::http) fn has_id_property(query: Option<&str>) -> bool {
        query.is_some_and(|query| Self::parse(query).is_ok_and(|query| query.contains("id_property")))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns the fields to return in addition to the default fields. All `properties` parameters count as one list.
    ///
    /// # Errors
    /// An issue for each unknown name.
    pub(super) fn selection(&self, registry: &Registry) -> Result<Selection, Vec<Issue>> {
        let lists = self.0.get("properties").map(Vec::as_slice).unwrap_or_default();
        Selection::parse(lists.iter().flat_map(|list| list.split(',')), registry)
    }

    /// Parses the value of a parameter that can be sent only once. Returns `None` if it is not sent.
    pub(super) fn single<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, InvalidValue>,
    ) -> Result<Option<T>, Issue> {
        match self.0.get(name).map(Vec::as_slice) {
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
