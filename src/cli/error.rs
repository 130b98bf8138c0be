//! Errors of the command line.

use crate::config::SettingsError;
use crate::embedded::EmbeddedError;

/// The reason why a command failed, as one or more lines for standard error.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// Settings are missing or invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The embedded database could not be started.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// Any other failure.
    #[error("{0}")]
    Other(String),
}
