//! Telemetry for operators: the log, metrics and traces. It never contains a token, a body, or a value of a path or
//! query.
//!
//! The other modules use only the crates `tracing` and `metrics`. This module decides where the output goes.

mod gauge_guard;
mod log;
pub mod metrics;
mod otlp_exporter;
mod traces;

use std::time::Duration;

pub use gauge_guard::GaugeGuard;
pub use log::parse_log_filter;

use tracing::Metadata;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogSettings, SettingsError, TraceSettings};

/// Installs the log of this process, which includes panics. If `traces` is set, also installs the export of traces.
///
/// # Errors
/// Fails if the log filter is malformed, or if the trace exporter cannot be created with these settings.
pub fn install(log: &LogSettings, traces: Option<&TraceSettings>) -> Result<(), SettingsError> {
    let filter = log::parse_log_filter(log)?;
    let is_for_log = |metadata: &Metadata<'_>| !traces::is_trace_span(metadata) && log::may_be_logged(metadata);
    // Installing a second time, as in tests, has no effect.
    let _ = match traces {
        // Filters on the whole registry cost less than filters on a layer.
        None => {
            tracing_subscriber::registry().with(filter_fn(is_for_log)).with(filter).with(log::log_layer(log)).try_init()
        }
        Some(settings) => {
            let log_layer = log::log_layer(log).with_filter(filter.and(filter_fn(is_for_log)));
            tracing_subscriber::registry().with(log_layer).with(traces::trace_layer(settings)?).try_init()
        }
    };
    log::log_panics();
    Ok(())
}

/// Sends the spans that are still queued, for at most `time_limit`. Blocks.
pub fn flush_traces(time_limit: Duration) {
    traces::flush(time_limit);
}
