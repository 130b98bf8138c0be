//! Log lines: text or JSON, on standard error. Never a token, a body, or a value of a path or query.

use std::io::IsTerminal;
use std::panic;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{LogSettings, SettingsError, problem};

/// Installs the log for this process, panics included.
///
/// # Errors
/// A `RUST_LOG` that can't be parsed.
pub fn install(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = filter(settings)?;
    let is_colored = settings.color && std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(is_colored).with_target(false);
    let lines = if settings.json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    // A second installation (as in tests) leaves the first in place.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    panic::set_hook(Box::new(|panic| {
        // The payload may hold data of a request: the place is enough to find the bug.
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "panicked");
    }));
    Ok(())
}

/// Which lines are written.
///
/// # Errors
/// A `RUST_LOG` that can't be parsed.
pub fn filter(settings: &LogSettings) -> Result<EnvFilter, SettingsError> {
    EnvFilter::try_new(&settings.filter).map_err(|_| problem("RUST_LOG", "can't be parsed: try info"))
}
