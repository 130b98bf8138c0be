//! `GET /metrics` in the text format of Prometheus, without authentication (`docs/api-reference.md#operations`).

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::app::App;
use super::error::ApiError;
use super::query::NoParameters;

/// The media type of the Prometheus text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics of this instance
///
/// In the text format of Prometheus. If `METRICS_ADDR` is set, the metrics are served there, and this path does not
/// exist. The text is at most 500 ms old.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, description = "All metrics", body = String, content_type = "text/plain")))]
pub(super) async fn get_metrics(State(app): State<App>, _: NoParameters) -> Result<impl IntoResponse, ApiError> {
    let text = app.metrics_text().read(|| {
        // Excludes this request itself.
        app.metrics().set_in_flight(app.in_flight().saturating_sub(1));
        app.repository().update_gauges();
        app.verifier().update_metrics();
    });
    let text = text.await.map_err(|_| ApiError::Internal("rendering the metrics panicked".into()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}
