//! `/contacts/changes` and `/contacts/{contactId}/history` (`docs/api-reference.md#change-feed`).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::app::App;
use super::authentication::Caller;
use super::error::ApiError;
use super::extractors::ContactPath;
use super::json_response::JsonResponse;
use super::long_poll::wait_for_changes;
use super::openapi::parameters::{ContactIdParameter, FeedParameters, HistoryParameters};
use super::openapi::responses::CursorExpired;
use super::openapi::schemas;
use super::query::{FeedQuery, HistoryQuery, QueryString};
use crate::contacts::{FeedCursor, FeedScope, RenderedEntry};
use crate::fields::Registry;
use crate::repository::{HistoryPage, StorageError};

#[derive(Serialize)]
struct FeedBody<'a> {
    data: Vec<RenderedEntry<'a>>,
    next: Option<String>,
}

/// Read the change feed
///
/// Returns every create, update, archive, restore and purge of the account in commit order, without gaps or duplicates.
/// To continue, send `next`, which is never null, as `after`. With `wait`, the request waits if there is no change yet.
#[utoipa::path(get, path = "/contacts/changes", tag = "sync", operation_id = "readChanges", security(("bearer" = [])),
    params(FeedParameters),
    responses((status = 200, description = "A page of the feed", body = schemas::ChangePage), CursorExpired))]
pub(super) async fn read_changes(
    State(app): State<App>,
    caller: Caller,
    query: QueryString,
) -> Result<JsonResponse, ApiError> {
    let FeedQuery { request, wait } = FeedQuery::parse(&query, caller.account, caller.actor.as_deref())?;
    let page = wait_for_changes(&app, caller.account, request, wait).await?;
    let scope = FeedScope::Feed(caller.account);
    // If another instance has just created a field, the cached registry lacks this field. The response would leave out
    // its values, and the caller would never get them.
    let registry = registry_at_least(&app, caller.account, page.registry_version).await?;
    let data = page.entries.iter().map(|entry| entry.render(scope, &registry)).collect();
    JsonResponse::new(StatusCode::OK, &FeedBody { data, next: Some(page.next.encode(scope)) })
}

/// Read a contact's history
///
/// Returns the entries of the change feed for one contact, newest first.
#[utoipa::path(get, path = "/contacts/{contactId}/history", tag = "sync", operation_id = "readHistory", security(("bearer" = [])),
    params(ContactIdParameter, HistoryParameters),
    responses((status = 200, description = "A page of the history", body = schemas::HistoryPage)))]
pub(super) async fn read_history(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    query: QueryString,
) -> Result<JsonResponse, ApiError> {
    // The query is checked before the contact is looked up, even if the path does not hold an id.
    let (account, contact) = (caller.account, path.id_or_nil());
    let HistoryQuery { before, limit } = HistoryQuery::parse(&query, account, contact)?;
    // Reads one entry more than requested, to know whether more entries follow.
    let page = app.repository().read_history(account, path.id()?, before, limit + 1).await?;
    let HistoryPage { mut entries, registry_version } = page.ok_or(ApiError::ContactNotFound)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().filter(|_| has_more);
    let next = last.map(|last| FeedCursor::after(last).encode(FeedScope::History(account, contact)));
    let registry = registry_at_least(&app, account, registry_version).await?;
    let data = entries.iter().map(|entry| entry.render(FeedScope::Feed(account), &registry)).collect();
    JsonResponse::new(StatusCode::OK, &FeedBody { data, next })
}

/// Returns the account's registry, at this version or a later one.
///
/// The future that may load it is large. Without the box, it would be part of every waiting long poll.
async fn registry_at_least(app: &App, account: Uuid, version: i64) -> Result<Arc<Registry>, StorageError> {
    Box::pin(app.repository().registry_at_least(account, version)).await
}
