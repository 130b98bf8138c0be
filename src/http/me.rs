//! `GET /me`: whom a token speaks for, and what it may do (`docs/api-reference.md#the-token-of-the-caller`).

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::app::App;
use super::authentication::Caller;
use super::batch::MAX_INPUTS;
use super::error::ApiError;
use super::json_response::JsonResponse;
use super::openapi::schemas;
use super::query::{MAX_CHANGES_LIMIT, MAX_CONTACTS_LIMIT, NoParameters};
use crate::clients::Scope;
use crate::config::HttpSettings;
use crate::contacts::MAX_CONTACT_BYTES;
use crate::fields::{MAX_CUSTOM_FIELDS, MAX_UNIQUE_FIELDS, format_instant};

#[derive(Serialize)]
struct Me {
    account_id: Uuid,
    /// The `sub` of the token.
    actor: Option<String>,
    client_id: Option<String>,
    /// `None`: the token may do everything.
    scopes: Option<Vec<&'static str>>,
    expires_at: Option<String>,
    limits: LimitsOfCaller,
}

/// The limits that a client needs to know to build its requests (`docs/api-reference.md#limits`).
#[derive(Serialize)]
struct LimitsOfCaller {
    /// `None`: there is no rate limit.
    requests_per_minute: Option<u32>,
    body_bytes: usize,
    batch_body_bytes: usize,
    batch_inputs: usize,
    page_contacts: i64,
    page_changes: i64,
    contact_bytes: usize,
    custom_fields: usize,
    unique_fields: usize,
}

impl LimitsOfCaller {
    fn new(settings: &HttpSettings) -> Self {
        Self {
            requests_per_minute: settings.limits.rate_per_minute.map(Into::into),
            body_bytes: settings.max_body_bytes,
            batch_body_bytes: settings.max_batch_body_bytes,
            batch_inputs: MAX_INPUTS,
            page_contacts: MAX_CONTACTS_LIMIT,
            page_changes: MAX_CHANGES_LIMIT,
            contact_bytes: MAX_CONTACT_BYTES,
            custom_fields: MAX_CUSTOM_FIELDS,
            unique_fields: MAX_UNIQUE_FIELDS,
        }
    }
}

/// Read the account, scopes and limits of the token
///
/// Every valid token may call this, whatever its scopes.
#[utoipa::path(get, path = "/me", tag = "clients", operation_id = "readMe", security(("bearer" = [])),
    responses((status = 200, description = "The account, the scopes and the limits of the token", body = schemas::Me)))]
pub(super) async fn read_me(State(app): State<App>, caller: Caller, _: NoParameters) -> Result<JsonResponse, ApiError> {
    let me = Me {
        account_id: caller.account,
        client_id: caller.client.map(|client| client.to_string()),
        scopes: caller.scopes.map(|scopes| scopes.iter().map(Scope::as_str).collect()),
        expires_at: caller.expires_at.map(format_instant),
        limits: LimitsOfCaller::new(app.settings()),
        actor: caller.actor,
    };
    JsonResponse::new(StatusCode::OK, &me)
}
