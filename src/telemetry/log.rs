//! Log lines: text or JSON, on standard error.

use std::io::IsTerminal;
use std::panic;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use crate::config::{LogSettings, SettingsError, problem};

/// Which lines are written.
///
/// # Errors
/// A `RUST_LOG` that can't be parsed.
pub fn filter(settings: &LogSettings) -> Result<EnvFilter, SettingsError> {
    EnvFilter::try_new(&settings.filter).map_err(|_| problem("RUST_LOG", "can't be parsed: try info"))
}

/// Whether a line may be written at all, whatever `RUST_LOG` says. Our own lines hold nothing of anyone's, of whatever
/// level they are; libraries quote below `info` what they work on, such as the path of a request that is malformed.
pub(super) fn may_be_told(metadata: &Metadata<'_>) -> bool {
    let is_ours = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    is_ours || *metadata.level() <= Level::INFO
}

/// Writes lines as the settings want them.
pub(super) fn lines<S>(settings: &LogSettings) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let is_colored = settings.color && std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(is_colored).with_target(false);
    if settings.json { lines.json().flatten_event(true).boxed() } else { lines.boxed() }
}

/// Writes a line for each panic.
pub(super) fn panics() {
    panic::set_hook(Box::new(|panic| {
        // The payload may hold data of a request: the place is enough to find the bug.
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "panicked");
    }));
}
