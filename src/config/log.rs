//! The settings of the log.

use super::environment::Environment;
use super::settings_error::SettingsError;
use super::settings_reader::SettingsReader;

/// The settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Whether each line is a JSON object instead of text.
    pub json: bool,
    /// The filter that selects the messages to write, in the syntax of `RUST_LOG`.
    pub filter: String,
    /// Whether output on a terminal may have colors. Any value of `NO_COLOR` disables them (<https://no-color.org>).
    pub color: bool,
}

const DEFAULT_FILTER: &str = "info";

impl LogSettings {
    /// Reads the settings of the log.
    ///
    /// # Errors
    /// Fails if `LOG_FORMAT` is unknown.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        SettingsReader::read_group(environment, SettingsReader::read_log_settings)
    }
}

impl SettingsReader<'_> {
    pub(super) fn read_log_settings(&mut self) -> LogSettings {
        let format = self.read_text_or("LOG_FORMAT", "text");
        if !["text", "json"].contains(&&*format) {
            self.add_problem("LOG_FORMAT", "must be text or json");
        }
        LogSettings {
            json: format == "json",
            filter: self.read_text_or("RUST_LOG", DEFAULT_FILTER),
            color: self.read_text("NO_COLOR").is_none(),
        }
    }
}
