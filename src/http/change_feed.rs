//! `/contacts/changes` and `/contacts/{contactId}/history` (`docs/api-reference.md#change-feed`).

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use futures_util::{TryStreamExt, stream};
use uuid::Uuid;

use super::app::App;
use super::array_response::{ArrayResponse, read_to_end, render_page};
use super::authentication::Caller;
use super::error::ApiError;
use super::extractors::ContactPath;
use super::json_response::JsonResponse;
use super::long_poll::wait_for_changes;
use super::next_link::next_link;
use super::openapi::parameters::{ContactIdParameter, FeedParameters, FeedPropertiesParameter, HistoryParameters};
use super::openapi::responses::CursorExpired;
use super::openapi::schemas;
use super::query::{FeedQuery, HistoryQuery, QueryString};
use crate::contacts::{FeedCursor, FeedEntry, FeedScope};
use crate::fields::{CustomSelection, Registry, RegistryVersion};
use crate::repository::StorageError;

/// Read the change feed
///
/// Returns every create, update, archive, restore and purge of the account in commit order, without gaps or duplicates.
/// To continue, send `next`, which is never null, as `after`. With `wait`, the request waits if there is no change yet.
#[utoipa::path(get, path = "/contacts/changes", tag = "sync", operation_id = "readChanges", security(("bearer" = [])),
    params(FeedParameters, FeedPropertiesParameter),
    responses((status = 200, description = "A page of the feed", body = schemas::ChangePage,
        headers(("Link" = String, description = "The next page, as `rel=\"next\"`, except at the end of the feed, where it is this page"))), CursorExpired))]
pub(super) async fn read_changes(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
    query: QueryString,
) -> Result<JsonResponse, ApiError> {
    let account = caller.account;
    let mut registry = registry_at_least(&app, account, RegistryVersion::default()).await?;
    let FeedQuery { request, wait, properties } =
        FeedQuery::parse(&query, account, caller.actor.as_deref(), &registry)?;
    let page = loop {
        let page = wait_for_changes(&app, account, request.clone(), wait).await?;
        match missing_version(&registry, page.registry_version) {
            None => break page,
            Some(version) => {
                drop(page);
                registry = registry_at_least(&app, account, version).await?;
            }
        }
    };
    let scope = FeedScope::Feed(account);
    let mut response = ArrayResponse::new(&app.limits().responses, account, "data")?;
    let (mut next, mut count) = (page.next, 0);
    let mut entries = page.entries.unwrap_or_else(|| Box::pin(stream::empty()));
    while count < request.limit
        && !response.is_full_page()
        && let Some(entry) = entries.try_next().await?
    {
        next = FeedCursor::after(&entry);
        if request.includes(&entry) {
            response.push(&entry.render(scope, &registry, &properties)).await?;
            count += 1;
        }
    }
    if count == request.limit {
        read_to_end(entries).await?;
    }
    let next = next.encode(scope);
    Ok(response.finish_with(StatusCode::OK, "next", &next)?.with_link(next_link(&uri, &next)))
}

/// Read a contact's history
///
/// Returns the entries of the change feed for one contact, newest first.
#[utoipa::path(get, path = "/contacts/{contactId}/history", tag = "sync", operation_id = "readHistory", security(("bearer" = [])),
    params(ContactIdParameter, HistoryParameters, FeedPropertiesParameter),
    responses((status = 200, description = "A page of the history", body = schemas::HistoryPage,
        headers(("Link" = String, description = "The next page, as `rel=\"next\"`, if there is one"))), CursorExpired))]
pub(super) async fn read_history(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    uri: Uri,
    query: QueryString,
) -> Result<JsonResponse, ApiError> {
    // The query is checked before the contact is looked up, even if the path does not hold an id.
    let (account, contact) = (caller.account, path.id_or_nil());
    let mut registry = registry_at_least(&app, account, RegistryVersion::default()).await?;
    let HistoryQuery { before, limit, properties } = HistoryQuery::parse(&query, account, contact, &registry)?;
    let contact = path.id()?;
    let custom_fields = CustomSelection::from(&properties);
    let page = loop {
        // Reads one entry more than requested, to know whether more entries follow.
        let page = app.repository().read_history(account, contact, before, limit + 1, &custom_fields).await?;
        let page = page.ok_or(ApiError::ContactNotFound)?;
        match missing_version(&registry, page.registry_version) {
            None => break page,
            Some(version) => {
                drop(page);
                registry = registry_at_least(&app, account, version).await?;
            }
        }
    };
    let mut response = ArrayResponse::new(&app.limits().responses, account, "data")?;
    let append = |response: &mut ArrayResponse<'_>, entry: &FeedEntry| {
        response.append(&entry.render(FeedScope::Feed(account), &registry, &properties))
    };
    let end = render_page(&mut response, page.entries, limit, append).await?;
    let scope = FeedScope::History(account, contact);
    let next = end.next_after().map(|last| FeedCursor::after(last).encode(scope));
    let link = next.as_deref().and_then(|next| next_link(&uri, next));
    Ok(response.finish_with(StatusCode::OK, "next", &next)?.with_link(link))
}

/// Returns `needed` if a registry is older than this version.
///
/// If another instance has just created a field, the cached registry lacks this field. The response would leave out its
/// values, and the caller would never get them. So the page is read again after the registry is loaded: the page holds a
/// connection, and while it does, its request must not wait for another one.
fn missing_version(registry: &Registry, needed: RegistryVersion) -> Option<RegistryVersion> {
    (!registry.version().includes(needed)).then_some(needed)
}

/// Returns the account's registry, at this version or a later one.
///
/// The future that may load it is large. Without the box, it would be part of every waiting long poll.
async fn registry_at_least(app: &App, account: Uuid, version: RegistryVersion) -> Result<Arc<Registry>, StorageError> {
    Box::pin(app.repository().registry_at_least(account, version)).await
}
