//! `/fields`: the fields API (`docs/api-reference.md#fields-api`).

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::app::App;
use super::array_response::ArrayResponse;
use super::authentication::Caller;
use super::error::ApiError;
use super::extractors::{PathParameter, Payload, parse_object};
use super::idempotency::{self, IdempotencyHeader};
use super::json_response::JsonResponse;
use super::openapi::parameters::IdempotencyKey;
use super::openapi::responses::{FieldConflict, KeyReused};
use super::openapi::schemas::{FieldChange, FieldDefinition, FieldInput, FieldList};
use super::query::NoParameters;
use crate::fields::{
    Field, FieldOption, FieldPatch, Issue, IssueCode, NewField, Registry, Selection, format_instant,
    reject_system_field,
};
use crate::json::Object;

/// List fields
///
/// Returns the system fields first, then the account's custom fields by name.
#[utoipa::path(get, path = "/fields", tag = "fields", operation_id = "listFields", security(("bearer" = [])),
    responses((status = 200, description = "All fields of the account's contacts", body = FieldList)))]
pub(super) async fn list_fields(
    State(app): State<App>,
    caller: Caller,
    _: NoParameters,
) -> Result<JsonResponse, ApiError> {
    let registry = app.registry(caller.account).await?;
    let mut response = ArrayResponse::new(&app.limits().responses, caller.account, "data")?;
    for field in registry.fields() {
        response.push(&FieldResponse::new(field)).await?;
    }
    response.finish(StatusCode::OK)
}

/// Create a custom field
///
/// Contacts then have this field, without a value. The internal name, the type and `unique` never change. The types are
/// `text`, `number`, `checkbox`, `date`, `datetime`, `email`, `phone`, `url`, `user`, and with `options` `dropdown` and
/// `multi_select`.
#[utoipa::path(post, path = "/fields", tag = "fields", operation_id = "createField", security(("bearer" = [])),
    params(IdempotencyKey), request_body = FieldInput,
    responses((status = 201, description = "The new field", body = FieldDefinition), FieldConflict, KeyReused))]
pub(super) async fn create_field(
    State(app): State<App>,
    caller: Caller,
    _: NoParameters,
    idempotency_header: IdempotencyHeader,
    payload: Payload,
) -> Result<JsonResponse, ApiError> {
    let body = payload.read(caller.account).await?;
    let parse = |body: &Object<'_>| NewField::parse(body).map_err(ApiError::ValidationFailed);
    let new_field = parse_object(&app, caller.account, &body, parse).await?;
    let fingerprint = idempotency_header.fingerprint(&caller, &body, &Selection::default())?;
    let name = new_field.internal_name.clone();
    let build_response = move |registry: &Registry| field_response(StatusCode::CREATED, registry, &name);
    let idempotent_request = fingerprint.map(|fingerprint| fingerprint.into_idempotent_request(build_response.clone()));
    let created = app.repository().create_field(caller.account, &new_field, idempotent_request.as_ref()).await?;
    idempotency::stored_or_new_response(created, |registry| build_response(registry))
}

/// Read a field
///
/// Returns a system field or a custom field.
#[utoipa::path(get, path = "/fields/{internalName}", tag = "fields", operation_id = "readField", security(("bearer" = [])),
    params(("internalName" = String, Path, description = "The field's internal name", example = "email")),
    responses((status = 200, description = "The field", body = FieldDefinition)))]
pub(super) async fn read_field(
    State(app): State<App>,
    caller: Caller,
    PathParameter(name): PathParameter,
    _: NoParameters,
) -> Result<JsonResponse, ApiError> {
    field_response(StatusCode::OK, &*app.registry(caller.account).await?, &name)
}

/// Change a custom field
///
/// Changes the label, or the whole list of options. An option that contacts still use cannot be removed.
#[utoipa::path(patch, path = "/fields/{internalName}", tag = "fields", operation_id = "updateField", security(("bearer" = [])),
    params(("internalName" = String, Path, description = "The field's internal name", example = "shoe_size"), IdempotencyKey),
    request_body = FieldChange,
    responses((status = 200, description = "The changed field", body = FieldDefinition), FieldConflict, KeyReused))]
pub(super) async fn update_field(
    State(app): State<App>,
    caller: Caller,
    PathParameter(name): PathParameter,
    _: NoParameters,
    idempotency_header: IdempotencyHeader,
    payload: Payload,
) -> Result<JsonResponse, ApiError> {
    let bytes = payload.read(caller.account).await?;
    // Bypasses the cache, because another instance may have just created the field, and its type determines the valid
    // changes.
    let registry = app.repository().reload_registry(caller.account).await?;
    let field = registry.get(&name).map(|field| &**field);
    let parse = |body: &Object<'_>| {
        reject_unsupported_field(&registry, &name)?;
        FieldPatch::parse(body, field).map_err(ApiError::ValidationFailed)
    };
    let patch = parse_object(&app, caller.account, &bytes, parse).await?;
    let fingerprint = idempotency_header.fingerprint(&caller, &bytes, &Selection::default())?;
    let field_name = name.clone();
    let build_response = move |registry: &Registry| field_response(StatusCode::OK, registry, &field_name);
    let request = fingerprint.map(|fingerprint| fingerprint.into_idempotent_request(build_response.clone()));
    let updated = app.repository().update_field(caller.account, &name, &patch, request.as_ref()).await?;
    idempotency::stored_or_new_response(updated, |registry| build_response(registry))
}

/// Delete a custom field
///
/// Deletes the field with all its values. A field that is created later with the same name starts empty.
#[utoipa::path(delete, path = "/fields/{internalName}", tag = "fields", operation_id = "deleteField", security(("bearer" = [])),
    params(("internalName" = String, Path, description = "The field's internal name", example = "loyalty_points"), IdempotencyKey),
    responses((status = 204, description = "The field is deleted"), KeyReused))]
pub(super) async fn delete_field(
    State(app): State<App>,
    caller: Caller,
    PathParameter(name): PathParameter,
    _: NoParameters,
    idempotency_header: IdempotencyHeader,
) -> Result<JsonResponse, ApiError> {
    let registry = app.registry(caller.account).await?;
    reject_unsupported_field(&registry, &name)?;
    if let Some(field) = registry.get(&name) {
        reject_system_field(field).map_err(ApiError::ValidationFailed)?;
    }
    // Deletes the field even if the cached registry lacks it, because another instance may have just created it.
    let fingerprint = idempotency_header.fingerprint(&caller, &[], &Selection::default())?;
    let build_response = |_: &Registry| Ok(JsonResponse::empty(StatusCode::NO_CONTENT));
    let request = fingerprint.map(|fingerprint| fingerprint.into_idempotent_request(build_response));
    let deleted = app.repository().delete_field(caller.account, &name, request.as_ref()).await?;
    idempotency::stored_or_new_response(deleted, |registry| build_response(registry))
}

/// Rejects a change of a field whose type this version does not know.
fn reject_unsupported_field(registry: &Registry, name: &str) -> Result<(), ApiError> {
    registry.unsupported_message(name).map_or(Ok(()), |message| {
        Err(ApiError::ValidationFailed([Issue::new(name, IssueCode::UnknownField, message)].into()))
    })
}

fn field_response(status: StatusCode, registry: &Registry, name: &str) -> Result<JsonResponse, ApiError> {
    JsonResponse::new(status, &FieldResponse::new(registry.get(name).ok_or(ApiError::FieldNotFound)?))
}

/// A field in a response.
#[derive(Serialize)]
pub struct FieldResponse<'a> {
    internal_name: &'a str,
    label: &'a str,
    r#type: &'static str,
    system: bool,
    default: bool,
    writable: bool,
    unique: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<&'a [FieldOption]>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl<'a> FieldResponse<'a> {
    /// Returns the form of a field in responses.
    #[must_use]
    pub fn new(field: &'a Field) -> Self {
        let format = |instant: Option<DateTime<Utc>>| instant.map(format_instant);
        Self {
            internal_name: &field.internal_name,
            label: &field.label,
            r#type: field.kind.as_str(),
            system: field.system,
            default: field.default,
            writable: field.writable,
            unique: field.unique,
            options: field.kind.has_options().then_some(&field.options),
            created_at: format(field.created_at),
            updated_at: format(field.updated_at),
        }
    }
}
