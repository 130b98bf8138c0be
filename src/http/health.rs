//! `GET /healthz` and `GET /readyz`, without authentication (`docs/api-reference.md#operations`).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::error::ApiError;
use super::openapi::responses::NotReady;
use super::query::NoParameters;

/// How long the database may take to answer before the service counts as not ready.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of the process.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The service's name.
    #[schema(example = "contacts")]
    name: &'static str,
    /// The service's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Is the process running?
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "health",
    responses((status = 200, description = "The process is running", body = Health)))]
pub(super) async fn healthz(_: NoParameters) -> Json<Health> {
    Json(Health { status: "ok", name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") })
}

/// The state of a service that is ready for requests.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Always `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Is the service ready for requests?
///
/// It is ready if the database answers, no migration is pending, and the service is not shutting down.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "readiness",
    responses((status = 200, description = "The service is ready", body = Readiness), NotReady))]
pub(super) async fn readyz(State(app): State<App>, _: NoParameters) -> Result<Json<Readiness>, ApiError> {
    if app.is_draining() {
        return Err(ApiError::Unavailable("shutting down".into()));
    }
    let schema = tokio::time::timeout(DATABASE_TIMEOUT, app.repository().schema_state()).await;
    let schema = schema.map_err(|_| ApiError::Unavailable("the database does not answer in time".into()))??;
    if schema.pending > 0 {
        return Err(ApiError::Unavailable("migrations are pending".into()));
    }
    Ok(Json(Readiness { status: "ready" }))
}
