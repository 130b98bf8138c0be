//! How log lines are written.

use super::{Environment, SettingsError, problem};

/// How log lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// One JSON object a line.
    pub json: bool,
    /// Which lines, in the syntax of `RUST_LOG`.
    pub filter: String,
}

impl LogSettings {
    /// Reads how log lines are written; `default_filter` holds where `RUST_LOG` is unset.
    ///
    /// # Errors
    /// An unknown `LOG_FORMAT`.
    pub fn read(environment: &Environment, default_filter: &str) -> Result<Self, SettingsError> {
        let json = match environment.get("LOG_FORMAT") {
            None | Some("text") => false,
            Some("json") => true,
            Some(_) => return Err(problem("LOG_FORMAT", "must be text or json")),
        };
        let filter = environment.get("RUST_LOG").unwrap_or(default_filter).to_owned();
        Ok(Self { json, filter })
    }
}
