//! `/healthz` and `/readyz` (contract §7). Neither takes a token.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::error::ApiError;
use super::openapi::responses::NotReady;
use super::query::NoParameters;

/// How long the database may take to answer before the service counts as cut off.
const PATIENCE: Duration = Duration::from_secs(2);

/// That the process is up.
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

/// Is the process up?
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "health",
    responses((status = 200, description = "The process is up", body = Health)))]
pub(super) async fn healthz(_: NoParameters) -> Json<Health> {
    Json(Health { status: "ok", name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") })
}

/// That the service can do its work.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Always `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Can the service do its work?
///
/// The database answers, no migration is pending, and the service is not about to stop.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "readiness",
    responses((status = 200, description = "The service can do its work", body = Readiness), NotReady))]
pub(super) async fn readyz(State(app): State<App>, _: NoParameters) -> Result<Json<Readiness>, ApiError> {
    if app.is_draining() {
        return Err(ApiError::Unavailable("shutting down".into()));
    }
    let migrations = tokio::time::timeout(PATIENCE, app.repository().migrations()).await;
    let migrations = migrations.map_err(|_| ApiError::Unavailable("the database does not answer in time".into()))??;
    if migrations.pending > 0 {
        return Err(ApiError::Unavailable("migrations are pending".into()));
    }
    Ok(Json(Readiness { status: "ready" }))
}
