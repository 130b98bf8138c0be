//! `GET /healthz` and `GET /readyz`, without authentication (`docs/api-reference.md#operations`).

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::error::ApiError;
use super::openapi::responses::NotReady;
use super::query::NoParameters;

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
///
/// Does not ask the database.
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
    /// Whether the database can write. If not, only reads succeed.
    #[schema(example = true)]
    writable: bool,
}

/// Is the service ready for requests?
///
/// It is ready if the database answers, no migration is pending, and the service is not shutting down. The database is
/// checked every 500 ms.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "readiness",
    responses((status = 200, description = "The service is ready", body = Readiness), NotReady))]
pub(super) async fn readyz(State(app): State<App>, _: NoParameters) -> Result<Json<Readiness>, ApiError> {
    if app.is_draining() {
        return Err(ApiError::Unavailable("shutting down".into()));
    }
    app.database_readiness().check().await?;
    Ok(Json(Readiness { status: "ready", writable: app.repository().is_writable() }))
}
