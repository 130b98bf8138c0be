//! What the service tells those who run it: a log, metrics, traces. Never a token, a body, or a value of a path or query.
//!
//! The other rooms write through the crates `tracing` and `metrics`, and need not know where it goes.

mod export;
mod log;
pub mod metrics;
mod raised;
mod traces;

use std::time::Duration;

pub use log::filter;
pub use raised::Raised;

use tracing::Metadata;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogSettings, SettingsError, TraceSettings};

/// Installs the log for this process, panics included, and with `traces` sends these too.
///
/// # Errors
/// Settings that can't be followed.
pub fn install(log: &LogSettings, traces: Option<&TraceSettings>) -> Result<(), SettingsError> {
    let filter = log::filter(log)?;
    let is_for_log = |metadata: &Metadata<'_>| !traces::is_of_trace(metadata) && log::may_be_told(metadata);
    // A second installation (as in tests) leaves the first in place.
    let _ = match traces {
        // Filters of the whole cost less than those of a layer.
        None => {
            tracing_subscriber::registry().with(filter_fn(is_for_log)).with(filter).with(log::lines(log)).try_init()
        }
        Some(settings) => {
            let lines = log::lines(log).with_filter(filter.and(filter_fn(is_for_log)));
            tracing_subscriber::registry().with(lines).with(traces::start(settings)?).try_init()
        }
    };
    log::panics();
    Ok(())
}

/// Sends the spans that still wait to be sent, for as long as this at most. Blocks.
pub fn finish(limit: Duration) {
    traces::finish(limit);
}
