//! How log lines are written.

use super::reader::Reader;
use super::{Environment, SettingsError};

/// How log lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// One JSON object a line.
    pub json: bool,
    /// Which lines, in the syntax of `RUST_LOG`.
    pub filter: String,
    /// Whether a terminal may show colours: not where `NO_COLOR` is set to anything (no-color.org).
    pub color: bool,
}

const DEFAULT_FILTER: &str = "info";

impl LogSettings {
    /// Reads how log lines are written.
    ///
    /// # Errors
    /// An unknown `LOG_FORMAT`.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        Reader::read(environment, Reader::log)
    }
}

impl Reader<'_> {
    pub(super) fn log(&mut self) -> LogSettings {
        let format = self.text_or("LOG_FORMAT", "text");
        if !["text", "json"].contains(&&*format) {
            self.complain("LOG_FORMAT", "must be text or json");
        }
        LogSettings {
            json: format == "json",
            filter: self.text_or("RUST_LOG", DEFAULT_FILTER),
            color: self.text("NO_COLOR").is_none(),
        }
    }
}
