//! `/metrics` (contract §7): for Prometheus, without a token.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::App;
use super::error::ApiError;
use super::query::NoParameters;
use crate::telemetry;

/// The text format of Prometheus.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How is the service doing?
///
/// In the text format of Prometheus. With `METRICS_ADDR` there is no such path here: it is served there instead.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, description = "All metrics", body = String, content_type = "text/plain")))]
pub(super) async fn serve(State(app): State<App>, _: NoParameters) -> Result<impl IntoResponse, ApiError> {
    // This request is none of those that are asked about.
    app.meters().show_in_flight(app.in_flight().saturating_sub(1));
    app.repository().measure();
    let text = tokio::task::spawn_blocking(telemetry::metrics::text).await;
    let text = text.map_err(|_| ApiError::Internal("the metrics could not be told".into()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}
