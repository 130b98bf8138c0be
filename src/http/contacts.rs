//! `/contacts` (contract §5). Each handler goes through the stages of contract §1 in their order.

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::answer::{Answer, ListBody, Pagination, json};
use super::caller::Caller;
use super::conditional::Conditions;
use super::error::ApiError;
use super::extract::ContactPath;
use super::openapi::parameters::{
    DryRun, IdProperty, IdempotencyKey, IfMatch, IfNoneMatch, ListParameters, NeededIdProperty, ShowParameters,
    UnlessThere,
};
use super::openapi::responses::{
    Changed, Conflict, ContactAnswer, CreatedAnswer, DuplicateKey, KeyReused, NotModified, Purged,
};
use super::openapi::schemas::{ContactInput, ContactPage};
use super::query::{Addressing, Asked, Query, Takes};
use super::write::WriteRequest;
use crate::contacts::{Cursor, Draft, Precondition, Start, Target, Upsert, Write};
use crate::fields::Registry;
use crate::json::Object;

/// A route that names a contact by its id, or none, and writes.
const BY_ID: Takes = Takes { dry_run: true, addressing: Addressing::Id, shows: true, fields: false };
/// A route that names a contact by its id or a property, and writes.
const BY_EITHER: Takes = Takes { addressing: Addressing::Either, ..BY_ID };

/// Create a contact
///
/// At least one of `email`, `first_name` and `last_name` is needed.
#[utoipa::path(post, path = "/contacts", tag = "contacts", operation_id = "createContact", security(("bearer" = [])),
    params(ShowParameters, DryRun, IdempotencyKey), request_body = ContactInput,
    responses(CreatedAnswer, DuplicateKey, KeyReused))]
pub(super) async fn create(caller: Caller, request: WriteRequest) -> Result<Response, ApiError> {
    let build = |_: &Asked, fields: &Object<'_>, registry: &Registry| {
        Draft::parse_new(fields, registry).map(Write::Create).map_err(ApiError::ValidationFailed)
    };
    request.send(caller, Takes { fields: true, ..BY_ID }, build, Answer::written).await
}

/// Change a contact
///
/// Only the fields sent change; `null` clears one. Values equal to the stored ones change nothing: neither
/// `updated_at` nor the `ETag`.
#[utoipa::path(patch, path = "/contacts/{contactId}", tag = "contacts", operation_id = "updateContact", security(("bearer" = [])),
    params(("contactId" = String, Path, description = "The contact's id, or its value of `id_property`", min_length = 1, example = "sample-1"), IdProperty, ShowParameters, DryRun, IfMatch),
    request_body = ContactInput, responses(ContactAnswer, Conflict, Changed))]
pub(super) async fn update(caller: Caller, path: ContactPath, request: WriteRequest) -> Result<Response, ApiError> {
    let precondition = request.conditions.if_match.clone();
    let build = |asked: &Asked, fields: &Object<'_>, registry: &Registry| {
        let draft = Draft::parse(fields, registry).map_err(ApiError::ValidationFailed)?;
        let target = path.target(asked.property.as_deref())?;
        Ok(Write::Update { target, draft, precondition: precondition.clone() })
    };
    request.send(caller, Takes { fields: true, ..BY_EITHER }, build, Answer::written).await
}

/// Create or change a contact by a unique property
///
/// The active contact that has the value in the path as its `id_property` changes; when there is none, one is created
/// with that value. Safe to repeat, and among many callers at once. `If-Match: *` only changes, `If-None-Match: *`
/// only creates.
#[utoipa::path(put, path = "/contacts/{contactId}", tag = "contacts", operation_id = "upsertContact", security(("bearer" = [])),
    params(("contactId" = String, Path, description = "The value of `id_property`", min_length = 1, example = "sample-1"), NeededIdProperty, ShowParameters, DryRun, IfMatch, UnlessThere),
    request_body = ContactInput, responses(ContactAnswer, CreatedAnswer, DuplicateKey, Changed))]
pub(super) async fn upsert(caller: Caller, path: ContactPath, request: WriteRequest) -> Result<Response, ApiError> {
    let takes = Takes { addressing: Addressing::Property, fields: true, ..BY_ID };
    let conditions = request.conditions.clone();
    let build = |asked: &Asked, fields: &Object<'_>, registry: &Registry| {
        let property = asked.property.as_deref().ok_or(ApiError::NotFound)?;
        let named = path.value(property);
        let upsert = Upsert::parse(property, named, fields, registry).map_err(ApiError::ValidationFailed)?;
        let (precondition, unless) = (conditions.if_match.clone(), conditions.if_none_match.clone());
        Ok(Write::Upsert(Upsert { precondition, unless, ..upsert }))
    };
    request.send(caller, takes, build, Answer::written).await
}

/// Read a contact
///
/// Archived ones too, unless it is named by a property.
#[utoipa::path(get, path = "/contacts/{contactId}", tag = "contacts", operation_id = "readContact", security(("bearer" = [])),
    params(("contactId" = String, Path, description = "The contact's id, or its value of `id_property`", min_length = 1, example = "sample-1"), IdProperty, ShowParameters, IfNoneMatch),
    responses(ContactAnswer, NotModified))]
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    query: Query,
    conditions: Conditions,
) -> Result<Response, ApiError> {
    let takes = Takes { dry_run: false, ..BY_EITHER };
    let asked = query.contact(&*app.registry(caller.account).await?, takes)?;
    let contact = match path.target(asked.property.as_deref())? {
        Target::Id(id) => app.repository().contact(caller.account, id).await?,
        Target::Key(key) => app.repository().contacts_by_key(caller.account, &[key]).await?.pop().flatten(),
    };
    let contact = contact.ok_or(ApiError::NotFound)?;
    let mut response = Answer::contact(StatusCode::OK, &contact, &asked.selection)?.into_response();
    if conditions.if_none_match != Precondition::None && conditions.if_none_match.holds(&contact) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(response)
}

/// Archive a contact
///
/// It gives up its unique keys, and can be restored. One that is archived already is not found.
#[utoipa::path(delete, path = "/contacts/{contactId}", tag = "contacts", operation_id = "archiveContact", security(("bearer" = [])),
    params(("contactId" = String, Path, description = "The contact's id, or its value of `id_property`", min_length = 1, example = "sample-1"), IdProperty, ShowParameters, DryRun, IfMatch),
    responses(ContactAnswer, Changed))]
pub(super) async fn archive(caller: Caller, path: ContactPath, request: WriteRequest) -> Result<Response, ApiError> {
    let precondition = request.conditions.if_match.clone();
    let build = |asked: &Asked, _: &Object<'_>, _: &Registry| {
        let target = path.target(asked.property.as_deref())?;
        Ok(Write::Archive { target, precondition: precondition.clone() })
    };
    request.send(caller, BY_EITHER, build, Answer::written).await
}

/// Restore an archived contact
///
/// One that is active stays as it is.
#[utoipa::path(post, path = "/contacts/{contactId}/restore", tag = "contacts", operation_id = "restoreContact", security(("bearer" = [])),
    params(("contactId" = uuid::Uuid, Path, description = "The contact's id", example = "01980000-0000-7000-8000-000000000001"), ShowParameters, DryRun, IdempotencyKey, IfMatch),
    responses(ContactAnswer, DuplicateKey, Changed, KeyReused))]
pub(super) async fn restore(caller: Caller, path: ContactPath, request: WriteRequest) -> Result<Response, ApiError> {
    let precondition = request.conditions.if_match.clone();
    let build = |_: &Asked, _: &Object<'_>, _: &Registry| {
        Ok(Write::Restore { id: path.id_or_nil(), precondition: precondition.clone() })
    };
    request.send(caller, BY_ID, build, Answer::written).await
}

/// Erase a contact for good
///
/// Active or archived, with every value of it: in the feed, in its history, and in answers kept for repeats. The feed
/// says that it was purged, and no more.
#[utoipa::path(post, path = "/contacts/{contactId}/purge", tag = "contacts", operation_id = "purgeContact", security(("bearer" = [])),
    params(("contactId" = uuid::Uuid, Path, description = "The contact's id", example = "01980000-0000-7000-8000-000000000003"), DryRun, IdempotencyKey),
    responses(Purged, KeyReused))]
pub(super) async fn purge(caller: Caller, path: ContactPath, request: WriteRequest) -> Result<Response, ApiError> {
    let build = |_: &Asked, _: &Object<'_>, _: &Registry| Ok(Write::Purge { id: path.id_or_nil() });
    let takes = Takes { shows: false, ..BY_ID };
    request.send(caller, takes, build, |_, _, _| Ok(Answer::empty(StatusCode::NO_CONTENT))).await
}

/// List contacts
///
/// In order of creation. By `offset` with the total count, or from one page to the next with `after`, which costs
/// the same at any depth.
#[utoipa::path(get, path = "/contacts", tag = "contacts", operation_id = "listContacts", security(("bearer" = [])),
    params(ListParameters, ShowParameters),
    responses((status = 200, description = "A page of contacts", body = ContactPage)))]
pub(super) async fn list(State(app): State<App>, caller: Caller, query: Query) -> Result<Response, ApiError> {
    let (listing, selection) = query.listing(caller.account, &*app.registry(caller.account).await?)?;
    let page = app.repository().contacts(caller.account, &listing).await?;
    let last = page.contacts.last().filter(|_| page.more);
    let body = ListBody {
        data: page.contacts.iter().map(|contact| contact.show(&selection)).collect(),
        pagination: Pagination {
            limit: listing.limit,
            offset: match listing.start {
                Start::Offset(offset) => Some(offset),
                Start::After(_) => None,
            },
            count: page.count,
            next: last.map(|last| Cursor::after(last.id, caller.account, &listing.filter)),
        },
    };
    json(StatusCode::OK, &body)
}
