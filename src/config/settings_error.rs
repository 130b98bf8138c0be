//! The error for missing or malformed settings.

/// The error for missing or malformed settings. It has one line for each setting, which names the setting and says how
/// to fix it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

impl SettingsError {
    /// Creates the error of a single setting. `problem` continues the sentence that starts with its name.
    #[must_use]
    pub fn new(name: &str, problem: &str) -> Self {
        Self(vec![format!("{name} {problem}")])
    }
}
