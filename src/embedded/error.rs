//! Errors of the embedded database.

use std::io;
use std::path::Path;

/// The reason why the embedded database is not available, as one line for the user.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EmbeddedError(String);

impl EmbeddedError {
    pub(super) fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }

    /// Describes an I/O error. `action` is the failed operation, for example "open".
    pub(super) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self(format!("could not {action} {}: {error}", path.display()))
    }
}
