//! The text of `/metrics`, which all scrapes within half a second share. Callers need no token, so their number must not
//! decide how often the service renders it.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::Mutex;
use tokio::task::JoinError;

use crate::telemetry;

/// How old the text may be. Prometheus scrapes less often.
const MAX_AGE: Duration = Duration::from_millis(500);

/// The text of the last scrape, and the time at which it was rendered.
#[derive(Default)]
pub(super) struct MetricsText(Mutex<Option<(Instant, Bytes)>>);

impl MetricsText {
    /// Returns the text. If it is too old, one caller updates the gauges and renders it again, and the others wait.
    ///
    /// # Errors
    /// Rendering panicked.
    pub(super) async fn read(&self, update_gauges: impl FnOnce()) -> Result<Bytes, JoinError> {
        let mut last = self.0.lock().await;
        if let Some((_, text)) = last.as_ref().filter(|(rendered_at, _)| rendered_at.elapsed() < MAX_AGE) {
            return Ok(text.clone());
        }
        update_gauges();
        let text = Bytes::from(tokio::task::spawn_blocking(telemetry::metrics::render).await?);
        *last = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}
