//! `/fields`: the registry (contract §4).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::App;
use super::answer::{Answer, json};
use super::caller::Caller;
use super::error::ApiError;
use super::extract::{self, Payload, Segment};
use super::idempotency::{Idempotency, RequestKey, replay};
use super::openapi::parameters::IdempotencyKey;
use super::openapi::responses::{FieldConflict, KeyReused};
use super::openapi::schemas::{Field as FieldSchema, FieldChange, FieldInput, FieldList};
use super::query::NoParameters;
use crate::fields::{
    Field, FieldOption, FieldPatch, NewField, Registry, Selection, format_instant, refuse_system_field,
};
use crate::repository::{Done, Keep};

/// List fields
///
/// The system fields first, then the account's custom fields by name.
#[utoipa::path(get, path = "/fields", tag = "fields", operation_id = "listFields", security(("bearer" = [])),
    responses((status = 200, description = "Every field of the account's contacts", body = FieldList)))]
pub(super) async fn list(State(app): State<App>, caller: Caller, _: NoParameters) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Body<'a> {
        data: Vec<Shown<'a>>,
    }
    let registry = app.registry(caller.account).await?;
    json(StatusCode::OK, &Body { data: registry.fields().iter().map(|field| Shown::of(field)).collect() })
}

/// Create a custom field
#[utoipa::path(post, path = "/fields", tag = "fields", operation_id = "createField", security(("bearer" = [])),
    params(IdempotencyKey), request_body = FieldInput,
    responses((status = 201, description = "The new field", body = FieldSchema), FieldConflict, KeyReused))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    _: NoParameters,
    idempotency: Idempotency,
    payload: Payload,
) -> Result<Response, ApiError> {
    let body = payload.read().await?;
    let new = NewField::parse(&extract::object(&body)?).map_err(ApiError::ValidationFailed)?;
    let keep = idempotency.of(&caller, &body, &Selection::default())?.map(|RequestKey { key, fingerprint }| {
        let name = new.internal_name.clone();
        let answer =
            move |registry: &Registry| show(StatusCode::CREATED, registry, &name).ok().map(|answer| answer.to_bytes());
        Keep { key, fingerprint, answer: Box::new(answer) }
    });
    match app.repository().create_field(caller.account, &new, keep.as_ref()).await? {
        Done::Replayed(answer) => replay(&answer),
        Done::Fresh(registry) => Ok(show(StatusCode::CREATED, &registry, &new.internal_name)?.into_response()),
    }
}

/// Read a field
#[utoipa::path(get, path = "/fields/{internalName}", tag = "fields", operation_id = "readField", security(("bearer" = [])),
    params(("internalName" = String, Path, description = "The field's internal name", example = "email")),
    responses((status = 200, description = "The field", body = FieldSchema)))]
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    Segment(name): Segment,
    _: NoParameters,
) -> Result<Response, ApiError> {
    Ok(show(StatusCode::OK, &*app.registry(caller.account).await?, &name)?.into_response())
}

/// Change a custom field
///
/// Its label, or its whole list of options. An option that contacts still have can't go.
#[utoipa::path(patch, path = "/fields/{internalName}", tag = "fields", operation_id = "updateField", security(("bearer" = [])),
    params(("internalName" = String, Path, description = "The field's internal name", example = "shoe_size")),
    request_body = FieldChange, responses((status = 200, description = "The changed field", body = FieldSchema), FieldConflict))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Segment(name): Segment,
    _: NoParameters,
    payload: Payload,
) -> Result<Response, ApiError> {
    let body = payload.read().await?;
    let body = extract::object(&body)?;
    // As the database has it now: what can change depends on the field's type.
    let registry = app.repository().reload_registry(caller.account).await?;
    let field = registry.get(&name).map(|field| &**field);
    let patch = FieldPatch::parse(&body, field).map_err(ApiError::ValidationFailed)?;
    let registry = app.repository().update_field(caller.account, &name, &patch).await?;
    Ok(show(StatusCode::OK, &registry, &name)?.into_response())
}

/// Delete a custom field
///
/// With all its values. A field of the same name that is made later starts empty.
#[utoipa::path(delete, path = "/fields/{internalName}", tag = "fields", operation_id = "deleteField", security(("bearer" = [])),
    params(("internalName" = String, Path, description = "The field's internal name", example = "loyalty_points")),
    responses((status = 204, description = "The field is gone")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Segment(name): Segment,
    _: NoParameters,
) -> Result<Response, ApiError> {
    let registry = app.registry(caller.account).await?;
    if let Some(field) = registry.get(&name) {
        refuse_system_field(field).map_err(ApiError::ValidationFailed)?;
    }
    // Also when it is unknown here: another instance may just have made it.
    app.repository().delete_field(caller.account, &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn show(status: StatusCode, registry: &Registry, name: &str) -> Result<Answer, ApiError> {
    Answer::of(status, &Shown::of(registry.get(name).ok_or(ApiError::NotFound)?))
}

/// A field as answers show it.
#[derive(Serialize)]
struct Shown<'a> {
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

impl<'a> Shown<'a> {
    fn of(field: &'a Field) -> Self {
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
