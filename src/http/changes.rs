//! `/contacts/changes` and `/contacts/{contactId}/history` (contract §6).

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::App;
use super::answer::json;
use super::caller::Caller;
use super::error::ApiError;
use super::extract::ContactPath;
use super::openapi::parameters::{FeedParameters, HistoryParameters};
use super::openapi::responses::Expired;
use super::openapi::schemas;
use super::query::Query;
use crate::contacts::{FeedCursor, Scope, ShownEntry};
use crate::repository::{After, FeedPage, FeedRequest, HistoryPage};

/// How often one who waits looks for changes that other instances have made.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Body<'a> {
    data: Vec<ShownEntry<'a>>,
    next: Option<String>,
}

/// Read the change feed
///
/// Every create, update, archive, restore and purge of the account, in the order of their commits: none left out, none
/// twice. Go on with `next`, which is always there; `wait` waits for something to come.
#[utoipa::path(get, path = "/contacts/changes", tag = "sync", operation_id = "readChanges", security(("bearer" = [])),
    params(FeedParameters), responses((status = 200, description = "A part of the feed", body = schemas::ChangePage), Expired))]
pub(super) async fn feed(State(app): State<App>, caller: Caller, query: Query) -> Result<Response, ApiError> {
    let (request, wait) = query.feed(caller.account, caller.actor.as_deref())?;
    let page = wait_for(&app, &caller, request, Duration::from_secs(wait)).await?;
    let scope = Scope::Feed(caller.account);
    // Another instance may just have made a field: a value of it that is left out now would never be told.
    let registry = app.repository().registry_since(caller.account, page.registry).await?;
    let data = page.entries.iter().map(|entry| entry.show(scope, &registry)).collect();
    json(StatusCode::OK, &Body { data, next: Some(page.next.text(scope)) })
}

/// Looks until there is something, time is up, or the service is about to stop.
async fn wait_for(app: &App, caller: &Caller, mut request: FeedRequest, wait: Duration) -> Result<FeedPage, ApiError> {
    let deadline = Instant::now() + wait;
    loop {
        // Listened for before the look: nothing is missed in between.
        let next_change = app.repository().next_change(caller.account);
        let page = app.repository().changes(caller.account, &request).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !page.entries.is_empty() || left.is_zero() || app.is_draining() {
            return Ok(page);
        }
        let before = std::mem::replace(&mut request.after, After::Cursor(page.next));
        if before != request.after {
            // What was left out may go on for long: what comes after it must not wait.
            continue;
        }
        let _waiting = app.meters().long_poll();
        let _ = tokio::time::timeout(left.min(LOOK_EVERY), next_change).await;
    }
}

/// Read a contact's history
///
/// Its entries of the change feed, newest first.
#[utoipa::path(get, path = "/contacts/{contactId}/history", tag = "sync", operation_id = "readHistory", security(("bearer" = [])),
    params(("contactId" = uuid::Uuid, Path, description = "The contact's id", example = "01980000-0000-7000-8000-000000000001"), HistoryParameters),
    responses((status = 200, description = "A part of the history", body = schemas::HistoryPage)))]
pub(super) async fn history(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    query: Query,
) -> Result<Response, ApiError> {
    // What is no id has no history, but its query is looked at all the same.
    let (account, contact) = (caller.account, path.id().unwrap_or_default());
    let (before, limit) = query.history(account, contact)?;
    // One more than asked for tells whether more follow.
    let page = app.repository().history(caller.account, path.id()?, before, limit + 1).await?;
    let HistoryPage { mut entries, registry } = page.ok_or(ApiError::NotFound)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next =
        entries.last().filter(|_| more).map(|last| FeedCursor::after(last).text(Scope::History(account, contact)));
    let registry = app.repository().registry_since(caller.account, registry).await?;
    let data = entries.iter().map(|entry| entry.show(Scope::Feed(account), &registry)).collect();
    json(StatusCode::OK, &Body { data, next })
}
