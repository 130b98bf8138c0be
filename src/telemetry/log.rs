//! The log: text or JSON lines on standard error.

use std::io::IsTerminal;
use std::panic;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use crate::config::{LogSettings, SettingsError};

/// Parses the log filter, which selects the messages to write.
///
/// # Errors
/// Fails if `RUST_LOG` is malformed, or has a word that is no level: the filter would be valid, and select the messages of a module with
/// that name.
pub fn parse_log_filter(settings: &LogSettings) -> Result<EnvFilter, SettingsError> {
    let mut words = settings.filter.split(',').map(str::trim).filter(|part| !part.contains(['=', '[', ':']));
    if let Some(word) = words.find(|word| !word.is_empty() && word.parse::<LevelFilter>().is_err()) {
        let rule = format!("has the word {word:?}, which is no level: use off, error, warn, info, debug or trace");
        return Err(SettingsError::new("RUST_LOG", &rule));
    }
    let malformed = |_| SettingsError::new("RUST_LOG", "is malformed: use a level such as info");
    EnvFilter::try_new(&settings.filter).map_err(malformed)
}

/// Returns whether a message or span may appear in the log. `RUST_LOG` cannot override this rule.
///
/// Messages of this service contain no data of callers, at any level. Libraries quote data below `info`, such as the
/// path of a malformed request.
pub(super) fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let is_own_message = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    is_own_message || *metadata.level() <= Level::INFO
}

/// Creates the layer that writes log lines to standard error, in the configured format.
pub(super) fn log_layer<S>(settings: &LogSettings) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let has_color = settings.color && std::io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(has_color).with_target(false);
    if settings.json { layer.json().flatten_event(true).boxed() } else { layer.boxed() }
}

/// Logs a line for each panic.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        // The payload may contain data of a request. The location is enough to find the bug.
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "panicked");
    }));
}
