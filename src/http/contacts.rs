//! `/contacts` (contract §5). Each handler goes through the stages of contract §1 in their order.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;

use super::App;
use super::answer::{ListBody, Pagination, json};
use super::caller::Caller;
use super::conditional;
use super::error::ApiError;
use super::extract::{self, ContactPath, Payload};
use super::openapi::parameters::{IfMatch, IfNoneMatch, ListParameters, ShowParameters};
use super::openapi::responses::{Changed, Conflict, ContactAnswer, CreatedAnswer, NotModified};
use super::openapi::schemas::{ContactInput, ContactPage};
use super::query::Query;
use crate::contacts::{Contact, Cursor, Draft, Start, etag};
use crate::fields::{Issue, Registry, Selection};
use crate::json::Object;
use crate::repository::{Update, WriteError};

/// Create a contact
///
/// At least one of `email`, `first_name` and `last_name` is needed.
#[utoipa::path(post, path = "/contacts", tag = "contacts", operation_id = "createContact", security(("bearer" = [])),
    params(ShowParameters), request_body = ContactInput, responses(CreatedAnswer, Conflict))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    query: Query,
    payload: Payload,
) -> Result<Response, ApiError> {
    let account = caller.account;
    let mut registry = app.registry(account).await?;
    query.selection(&registry)?;
    let body = payload.read().await?;
    let fields = extract::fields(&body)?;
    loop {
        let (draft, selection) = check(&fields, Draft::parse_new, &query, &registry)?;
        match app.repository().create_contact(account, &registry, &draft).await {
            Err(WriteError::RegistryChanged) => registry = app.repository().reload_registry(account).await?,
            written => {
                let contact = written.map_err(|error| ApiError::of_write(error, &registry))?;
                let location = HeaderValue::from_str(&format!("/contacts/{}", contact.id));
                let mut response = answer(StatusCode::CREATED, &contact, &selection)?;
                response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
                return Ok(response);
            }
        }
    }
}

/// Change a contact
///
/// Only the fields sent change; `null` clears one. Values equal to the stored ones change nothing: neither
/// `updated_at` nor the `ETag`.
#[utoipa::path(patch, path = "/contacts/{contactId}", tag = "contacts", operation_id = "updateContact", security(("bearer" = [])),
    params(("contactId" = uuid::Uuid, Path, description = "The contact's id"), ShowParameters, IfMatch),
    request_body = ContactInput, responses(ContactAnswer, Conflict, Changed))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    query: Query,
    headers: HeaderMap,
    payload: Payload,
) -> Result<Response, ApiError> {
    let account = caller.account;
    let mut registry = app.registry(account).await?;
    query.selection(&registry)?;
    let body = payload.read().await?;
    let fields = extract::fields(&body)?;
    let precondition = conditional::if_match(&headers);
    loop {
        let (draft, selection) = check(&fields, Draft::parse, &query, &registry)?;
        let (id, precondition) = (path.id()?, precondition.clone());
        let update = Update { account, id, registry: Arc::clone(&registry), draft, precondition };
        match app.repository().update_contact(update).await {
            Err(WriteError::RegistryChanged) => registry = app.repository().reload_registry(account).await?,
            written => {
                let contact = written.map_err(|error| ApiError::of_write(error, &registry))?;
                return answer(StatusCode::OK, &contact, &selection);
            }
        }
    }
}

/// Read a contact
///
/// Archived ones too.
#[utoipa::path(get, path = "/contacts/{contactId}", tag = "contacts", operation_id = "readContact", security(("bearer" = [])),
    params(("contactId" = uuid::Uuid, Path, description = "The contact's id"), ShowParameters, IfNoneMatch),
    responses(ContactAnswer, NotModified))]
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let selection = query.selection(&*app.registry(caller.account).await?)?;
    let contact = app.repository().contact(caller.account, path.id()?).await?.ok_or(ApiError::NotFound)?;
    let mut response = answer(StatusCode::OK, &contact, &selection)?;
    if conditional::is_known(&headers, &etag(&contact)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = axum::body::Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(response)
}

/// Archive a contact
///
/// It gives up its unique keys, and can be restored. One that is archived already is not found.
#[utoipa::path(delete, path = "/contacts/{contactId}", tag = "contacts", operation_id = "archiveContact", security(("bearer" = [])),
    params(("contactId" = uuid::Uuid, Path, description = "The contact's id"), ShowParameters, IfMatch),
    responses(ContactAnswer, Changed))]
pub(super) async fn archive(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let registry = app.registry(caller.account).await?;
    let selection = query.selection(&registry)?;
    let precondition = conditional::if_match(&headers);
    let archived =
        app.repository().archive_contact(caller.account, path.id()?, caller.actor.as_deref(), &precondition).await;
    let contact = archived.map_err(|error| ApiError::of_write(error, &registry))?;
    answer(StatusCode::OK, &contact, &selection)
}

/// Restore an archived contact
///
/// One that is active stays as it is.
#[utoipa::path(post, path = "/contacts/{contactId}/restore", tag = "contacts", operation_id = "restoreContact", security(("bearer" = [])),
    params(("contactId" = uuid::Uuid, Path, description = "The contact's id"), ShowParameters, IfMatch),
    responses(ContactAnswer, Conflict, Changed))]
pub(super) async fn restore(
    State(app): State<App>,
    caller: Caller,
    path: ContactPath,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let account = caller.account;
    let mut registry = app.registry(account).await?;
    let precondition = conditional::if_match(&headers);
    loop {
        let selection = query.selection(&registry)?;
        match app.repository().restore_contact(account, path.id()?, &registry, &precondition).await {
            Err(WriteError::RegistryChanged) => registry = app.repository().reload_registry(account).await?,
            written => {
                let contact = written.map_err(|error| ApiError::of_write(error, &registry))?;
                return answer(StatusCode::OK, &contact, &selection);
            }
        }
    }
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

/// Checks a write against one version of the registry.
fn check(
    fields: &Object<'_>,
    parse: impl Fn(&Object<'_>, &Registry) -> Result<Draft, Vec<Issue>>,
    query: &Query,
    registry: &Arc<Registry>,
) -> Result<(Draft, Selection), ApiError> {
    let selection = query.selection(registry)?;
    let draft = parse(fields, registry).map_err(ApiError::ValidationFailed)?;
    Ok((draft, selection))
}

/// The answer that is one contact.
fn answer(status: StatusCode, contact: &Contact, selection: &Selection) -> Result<Response, ApiError> {
    let mut response = json(status, &contact.show(selection))?;
    response.headers_mut().extend(HeaderValue::from_str(&etag(contact)).ok().map(|etag| (header::ETAG, etag)));
    Ok(response)
}
