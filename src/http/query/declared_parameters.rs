//! The query parameters of each route, as the OpenAPI document declares them.

use std::collections::HashMap;

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi as Document, RefOr};

use crate::fields::{Issue, IssueCode};

/// The maximum number of edits between a misspelled name and the suggested name.
const MAX_TYPO_DISTANCE: usize = 2;

/// The query parameters of every route that requires a token. The other routes ignore unknown parameters: monitoring
/// systems and browsers may add their own.
pub(in crate::http) struct DeclaredParameters(HashMap<String, HashMap<Method, Vec<String>>>);

impl DeclaredParameters {
    /// Collects the parameters of a document.
    pub(in crate::http) fn from_document(document: &Document) -> Self {
        let paths = document.paths.paths.iter();
        Self(paths.map(|(path, item)| (path.clone(), parameters_of_methods(item))).collect())
    }

    /// Returns the parameters of the route of a request, or `None` if the route ignores unknown parameters.
    pub(super) fn for_request(parts: &Parts) -> Option<&[String]> {
        let Self(routes) = parts.extensions.get::<&'static Self>()?;
        let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
        let route = routes.get(parts.extensions.get::<MatchedPath>()?.as_str())?;
        route.get(method).map(Vec::as_slice)
    }
}

/// Returns the issue of a parameter that is not one of `declared`.
pub(super) fn unknown_parameter(name: &str, declared: &[String]) -> Issue {
    let distance = |known: &&String| strsim::osa_distance(&name.to_ascii_lowercase(), known);
    // Long names resemble no parameter, and comparing them takes long.
    let is_similar =
        |known: &&String| name.len() <= known.len() + MAX_TYPO_DISTANCE && distance(known) <= MAX_TYPO_DISTANCE;
    let message = match declared.iter().filter(is_similar).min_by_key(distance) {
        Some(known) => format!("is not a parameter of this route. Did you mean {known}?"),
        None if name == "dry_run" => "applies only to routes that write contacts. Leave it out".to_owned(),
        None if declared.is_empty() => "is not a parameter of this route, which takes none. Leave it out".to_owned(),
        None => format!("is not a parameter of this route, which takes {}", declared.join(", ")),
    };
    Issue::new(name, IssueCode::UnknownParameter, message)
}

fn parameters_of_methods(item: &PathItem) -> HashMap<Method, Vec<String>> {
    let operations = [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PATCH, &item.patch),
        (Method::PUT, &item.put),
        (Method::DELETE, &item.delete),
    ];
    let operations = operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)));
    operations
        .filter(|(_, operation)| requires_token(operation))
        .map(|(method, operation)| (method, query_parameters(operation)))
        .collect()
}

/// Returns whether no alternative of an operation's security is empty or other than the bearer token.
fn requires_token(operation: &Operation) -> bool {
    let alternatives = operation.security.iter().flatten().map(serde_json::to_value);
    let mut is_bearer = alternatives.map(|alternative| alternative.is_ok_and(|value| value.get("bearer").is_some()));
    operation.security.is_some() && is_bearer.all(|is_bearer| is_bearer)
}

fn query_parameters(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    let parameters = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        _ => None,
    });
    parameters.collect()
}
