//! `Prefer: return=minimal` on writes (RFC 7240, `docs/api-reference.md#minimal-responses`).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use crate::fields::{CustomSelection, Selection};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What the response to a write contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ReturnPreference {
    /// The contact.
    #[default]
    Representation,
    /// No contact: the caller does not need it.
    Minimal,
}

impl<S: Send + Sync> FromRequestParts<S> for ReturnPreference {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

impl ReturnPreference {
    /// Returns the first preference for `return`. Other preferences and values are ignored.
    fn from_headers(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(PREFER).into_iter().filter_map(|line| line.to_str().ok());
        let preferences = lines.flat_map(split_preferences).filter_map(|preference| {
            // Parameters of a preference follow a semicolon.
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            name.trim().eq_ignore_ascii_case("return").then(|| value.trim().trim_matches('"'))
        });
        match preferences.take(1).any(|value| value.eq_ignore_ascii_case("minimal")) {
            true => Self::Minimal,
            false => Self::Representation,
        }
    }

    pub(super) fn is_minimal(self) -> bool {
        self == Self::Minimal
    }

    /// Returns the custom fields that the response contains.
    pub(super) fn custom_fields(self, selection: &Selection) -> CustomSelection {
        match self {
            Self::Representation => CustomSelection::from(selection),
            Self::Minimal => CustomSelection::default(),
        }
    }
}

/// Splits a header at its commas, except those within quotes.
fn split_preferences(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    line.split(move |c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn first_preference_for_return_counts() {
        let is_minimal = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (PREFER, HeaderValue::from_static(line)));
            ReturnPreference::from_headers(&lines.collect()).is_minimal()
        };
        for lines in [
            &["return=minimal"][..],
            &["Return = \"minimal\""],
            &["respond-async, return=minimal; x=1"],
            &["wait=10", "return=minimal"],
        ] {
            assert!(is_minimal(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &["minimal"],
            &["return=representation, return=minimal"],
            &["returns=minimal"],
            &["x=\"a, return=minimal\""],
        ] {
            assert!(!is_minimal(lines), "{lines:?}");
        }
    }
}
