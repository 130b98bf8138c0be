//! Answers that hold data of an account.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::error::ApiError;

/// A JSON answer that no shared cache keeps (contract §2).
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(body).map_err(|error| ApiError::Internal(error.to_string().into()))?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, no-cache")];
    Ok((status, headers, body).into_response())
}

/// A page of a list.
#[derive(Serialize)]
pub(super) struct ListBody<T> {
    /// What the page shows.
    pub data: Vec<T>,
    /// Where it is in the list.
    pub pagination: Pagination,
}

/// Where a page is in its list (contract §5).
#[derive(Serialize)]
pub(super) struct Pagination {
    /// How many it shows at most.
    pub limit: i64,
    /// How many come before it; not when paging by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// How many there are in all; not when paging by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// A cursor, `None` exactly when nothing follows.
    pub next: Option<String>,
}
