//! `/contacts` (`docs/api-reference.md#contacts`). Each handler runs the checks in the documented order
//! (`docs/api-reference.md#order-of-checks`).

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::array_response::{ArrayResponse, Pagination, render_page};
use super::authentication::Caller;
use super::conditional_headers::ConditionalHeaders;
use super::error::ApiError;
use super::extractors::ContactPath;
use super::json_response::JsonResponse;
use super::next_link::next_link;
use super::openapi::parameters::{
    ContactIdOrValue, ContactIdParameter, ContactValue, DryRun, IdProperty, IdempotencyKey, IfMatch, IfNoneMatch,
    IfNoneMatchOnWrite, ListParameters, OnArchivedParameter, Prefer, PropertiesParameter, PurgedContactId,
    RequiredIdProperty, SourceUpdatedAt,
};
use super::openapi::responses::{
    Conflict, ContactResponse, CreatedResponse, DuplicateKey, KeyReused, MinimalResponse, NotModified,
    PreconditionFailed, Purged, UpdateResponse, UpsertConflict, UpsertCreatedResponse,
};
use super::openapi::schemas::{ContactInput, ContactPage};
use super::query::{ContactLookup, ContactQuery, ListQuery, QueryString, RouteParameters};
use super::write_request::WriteRequest;
use crate::contacts::{Contact, ContactPatch, ContactTarget, ListCursor, ListStart, Upsert, Write, max_rendered_bytes};
use crate::fields::CustomSelection;
use crate::json::Object;
use crate::repository::ListPage;

/// The parameters of a route that creates a contact, or identifies it by id.
const ID_PARAMETERS: RouteParameters =
    RouteParameters { lookup: ContactLookup::Id, has_properties: true, has_dry_run: true, has_source_time: false };
/// The parameters of a route that identifies a contact by its id or a unique property.
const ID_OR_PROPERTY_PARAMETERS: RouteParameters =
    RouteParameters { lookup: ContactLookup::IdOrProperty, ..ID_PARAMETERS };
const UPDATE_PARAMETERS: RouteParameters = RouteParameters { has_source_time: true, ..ID_OR_PROPERTY_PARAMETERS };
const UPSERT_PARAMETERS: RouteParameters = RouteParameters { lookup: ContactLookup::Property, ..UPDATE_PARAMETERS };
const READ_PARAMETERS: RouteParameters = RouteParameters { has_dry_run: false, ..ID_OR_PROPERTY_PARAMETERS };
const PURGE_PARAMETERS: RouteParameters = RouteParameters { has_properties: false, ..ID_PARAMETERS };

/// Create a contact
///
/// At least one of `email`, `first_name` and `last_name` is required.
#[utoipa::path(post, path = "/contacts", tag = "contacts", operation_id = "createContact", security(("bearer" = [])),
    params(PropertiesParameter, DryRun, IdempotencyKey, Prefer), request_body = ContactInput,
    responses(CreatedResponse, DuplicateKey, KeyReused))]
pub(super) async fn create_contact(request: WriteRequest) -> Result<Response, ApiError> {
    request
        .retry_on_registry_change(async |attempt| {
            let query = attempt.contact_query(ID_PARAMETERS)?;
            let parse = |fields: &Object<'_>| ContactPatch::parse_new(fields, attempt.registry());
            let patch = attempt.parse_fields(parse, ContactPatch::memory_bytes).await?;
            attempt.commit_contact(query, Write::Create(patch), JsonResponse::from_written_contact).await
        })
        .await
}

/// Update a contact
///
/// Only the fields in the body change; `null` clears a field. Values that equal the stored values change neither
/// `updated_at` nor the `ETag`.
#[utoipa::path(patch, path = "/contacts/{contactId}", tag = "contacts", operation_id = "updateContact", security(("bearer" = [])),
    params(ContactIdOrValue, IdProperty, PropertiesParameter, SourceUpdatedAt, DryRun, IdempotencyKey, IfMatch,
        IfNoneMatchOnWrite, Prefer), request_body = ContactInput,
    responses(UpdateResponse, MinimalResponse, Conflict, PreconditionFailed, KeyReused))]
pub(super) async fn update_contact(request: WriteRequest) -> Result<Response, ApiError> {
    request
        .retry_on_registry_change(async |attempt| {
            let query = attempt.contact_query(UPDATE_PARAMETERS)?;
            let parse = |fields: &Object<'_>| ContactPatch::parse(fields, attempt.registry());
            let patch = attempt.parse_fields(parse, ContactPatch::memory_bytes).await?;
            let target = attempt.target(query.id_property.as_deref())?;
            let (preconditions, source_updated_at) = (attempt.preconditions(), query.source_updated_at);
            let write = Write::Update { target, patch, preconditions, source_updated_at };
            attempt.commit_contact(query, write, JsonResponse::from_written_contact).await
        })
        .await
}

/// Create or update a contact by a unique property
///
/// Updates the active contact whose `id_property` has the value in the path. If there is none, creates a contact with
/// this value. Safe to repeat, and safe under concurrent calls. `If-Match: *` only updates, `If-None-Match: *` only
/// creates.
#[utoipa::path(put, path = "/contacts/{contactId}", tag = "contacts", operation_id = "upsertContact", security(("bearer" = [])),
    params(ContactValue, RequiredIdProperty, OnArchivedParameter, PropertiesParameter, SourceUpdatedAt, DryRun,
        IdempotencyKey, IfMatch, IfNoneMatchOnWrite, Prefer), request_body = ContactInput,
    responses(UpdateResponse, UpsertCreatedResponse, MinimalResponse, UpsertConflict, PreconditionFailed, KeyReused))]
pub(super) async fn upsert_contact(request: WriteRequest) -> Result<Response, ApiError> {
    request
        .retry_on_registry_change(async |attempt| {
            let query = attempt.contact_query(UPSERT_PARAMETERS)?;
            let property = query.id_property.as_deref().ok_or(ApiError::NotFound)?;
            let value = attempt.path()?.value(property);
            let parse = |fields: &Object<'_>| Upsert::parse(property, value, fields, attempt.registry());
            let upsert = attempt.parse_fields(parse, Upsert::memory_bytes).await?;
            let write = Write::Upsert(Upsert {
                preconditions: attempt.preconditions(),
                source_updated_at: query.source_updated_at,
                on_archived: query.on_archived,
                ..upsert
            });
            attempt.commit_contact(query, write, JsonResponse::from_written_contact).await
        })
        .await
}

/// Read a contact
///
/// By id, this also returns an archived contact. A lookup by a unique property finds active contacts only.
#[utoipa::path(get, path = "/contacts/{contactId}", tag = "contacts", operation_id = "readContact", security(("bearer" = [])),
    params(ContactIdOrValue, IdProperty, PropertiesParameter, IfNoneMatch),
    responses(ContactResponse, NotModified))]
pub(super) async fn read_contact(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    query: QueryString,
    conditional_headers: ConditionalHeaders,
) -> Result<Response, ApiError> {
    let query = ContactQuery::parse(&query, &*app.registry(caller.account).await?, READ_PARAMETERS)?;
    let (repository, account) = (app.repository(), caller.account);
    let custom_fields = CustomSelection::from(&query.selection);
    let target = path.target(query.id_property.as_deref())?;
    let memory = app.limits().responses.reserve(account, max_rendered_bytes(&query.selection)).await?;
    let contact = match target {
        ContactTarget::Id(id) => repository.contact_by_id(account, id, custom_fields).await?,
        ContactTarget::Key(key) => repository.contact_by_key(account, key, &custom_fields).await?,
    };
    let contact = contact.ok_or(ApiError::ContactNotFound)?;
    let response = JsonResponse::from_contact(StatusCode::OK, &contact, &query.selection)?.with_permit(memory);
    let not_modified_tag = response.etag().and_then(|etag| conditional_headers.not_modified_tag(etag));
    Ok(match not_modified_tag {
        Some(etag) => response.into_not_modified(etag).into_response(),
        None => response.into_response(),
    })
}

/// Archive a contact
///
/// The contact releases its unique values and can be restored. Archiving an archived contact is 404.
#[utoipa::path(delete, path = "/contacts/{contactId}", tag = "contacts", operation_id = "archiveContact", security(("bearer" = [])),
    params(ContactIdOrValue, IdProperty, PropertiesParameter, DryRun, IdempotencyKey, IfMatch, IfNoneMatchOnWrite,
        Prefer), responses(ContactResponse, MinimalResponse, PreconditionFailed, KeyReused))]
pub(super) async fn archive_contact(request: WriteRequest) -> Result<Response, ApiError> {
    request
        .retry_on_registry_change(async |attempt| {
            let query = attempt.contact_query(ID_OR_PROPERTY_PARAMETERS)?;
            let target = attempt.target(query.id_property.as_deref())?;
            let write = Write::Archive { target, preconditions: attempt.preconditions() };
            attempt.commit_contact(query, write, JsonResponse::from_written_contact).await
        })
        .await
}

/// Restore an archived contact
///
/// Restoring an active contact changes nothing.
#[utoipa::path(post, path = "/contacts/{contactId}/restore", tag = "contacts", operation_id = "restoreContact", security(("bearer" = [])),
    params(ContactIdParameter, PropertiesParameter, DryRun, IdempotencyKey, IfMatch, IfNoneMatchOnWrite, Prefer),
    responses(ContactResponse, MinimalResponse, DuplicateKey, PreconditionFailed, KeyReused))]
pub(super) async fn restore_contact(request: WriteRequest) -> Result<Response, ApiError> {
    request
        .retry_on_registry_change(async |attempt| {
            let query = attempt.contact_query(ID_PARAMETERS)?;
            let write = Write::Restore { id: attempt.path()?.id_or_nil(), preconditions: attempt.preconditions() };
            attempt.commit_contact(query, write, JsonResponse::from_written_contact).await
        })
        .await
}

/// Permanently delete a contact
///
/// Deletes an active or archived contact and all its values, in the change feed, in its history and in stored
/// idempotent responses too. This cannot be undone. The change feed gets an entry `purged` without values.
#[utoipa::path(post, path = "/contacts/{contactId}/purge", tag = "contacts", operation_id = "purgeContact", security(("bearer" = [])),
    params(PurgedContactId, DryRun, IdempotencyKey, IfMatch, IfNoneMatchOnWrite),
    responses(Purged, PreconditionFailed, KeyReused))]
pub(super) async fn purge_contact(request: WriteRequest) -> Result<Response, ApiError> {
    request
        .retry_on_registry_change(async |attempt| {
            let query = attempt.contact_query(PURGE_PARAMETERS)?;
            let write = Write::Purge { id: attempt.path()?.id_or_nil(), preconditions: attempt.preconditions() };
            attempt.commit_contact(query, write, |_, _, _| Ok(JsonResponse::empty(StatusCode::NO_CONTENT))).await
        })
        .await
}

/// List contacts
///
/// Returns contacts in order of creation. Paging with `offset` also returns the total count. Paging with `after` is
/// equally fast on every page.
#[utoipa::path(get, path = "/contacts", tag = "contacts", operation_id = "listContacts", security(("bearer" = [])),
    params(ListParameters, PropertiesParameter),
    responses((status = 200, description = "A page of contacts", body = ContactPage,
        headers(("Link" = String, description = "The next page, as `rel=\"next\"`, if there is one")))))]
pub(super) async fn list_contacts(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
    query: QueryString,
) -> Result<JsonResponse, ApiError> {
    let account = caller.account;
    let ListQuery { request, selection } = ListQuery::parse(&query, account, &*app.registry(account).await?)?;
    let ListPage { contacts, count } = app.repository().list_contacts(account, &request).await?;
    let mut response = ArrayResponse::new(&app.limits().responses, account, "data")?;
    let append = |response: &mut ArrayResponse<'_>, contact: &Contact| response.append(&contact.render(&selection));
    let end = render_page(&mut response, contacts, request.limit, append).await?;
    if query.contains("offset") {
        end.check_offset()?;
    }
    let next = end.next_after().map(|last| ListCursor::encode_after(last.id, account, &request.filter));
    let link = next.as_deref().and_then(|next| next_link(&uri, next));
    let offset = match request.start {
        ListStart::Offset(offset) => Some(offset),
        ListStart::After(_) => None,
    };
    let pagination = Pagination { limit: request.limit, offset, count, next };
    Ok(response.finish_with(StatusCode::OK, "pagination", &pagination)?.with_link(link))
}
