//! The query of a route that has no query parameters.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::query_issues::QueryIssues;
use super::query_string::QueryString;
use crate::http::error::ApiError;

/// The query of a route that has no query parameters. `dry_run` is an error on every route. Routes without a
/// token ignore any other parameter.
pub(in crate::http) struct NoParameters;

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = QueryString::from_request_parts(parts, state).await?;
        let mut issues = QueryIssues::for_query(&query);
        issues.reject_dry_run(&query);
        issues.into_result()?;
        Ok(Self)
    }
}
