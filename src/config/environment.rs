//! Where settings come from, and what can be wrong with them.

use std::collections::HashMap;
use std::fmt;

/// A text that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// Every setting of `contacts serve`.
const SETTINGS: [&str; 19] = [
    "BIND_ADDR",
    "CHANGE_RETENTION_DAYS",
    "DATABASE_MAX_CONNECTIONS",
    "DATABASE_URL",
    "DOCS_ENABLED",
    "JWT_ACCOUNT_CLAIM",
    "JWT_ALGORITHM",
    "JWT_AUDIENCE",
    "JWT_ISSUER",
    "JWT_PUBLIC_KEY",
    "JWT_SECRET",
    "LOG_FORMAT",
    "MAX_BATCH_BODY_BYTES",
    "MAX_BODY_BYTES",
    "MIGRATE_ON_START",
    "REQUEST_TIMEOUT_MS",
    "RUST_LOG",
    "SHUTDOWN_TIMEOUT_MS",
    "WRITE_BATCH_MAX",
];

/// The variables of the process, over those of a `.env` file. An empty value counts as unset.
#[derive(Debug, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// Reads the `.env` file of the working directory, if there is one, and the environment over it.
    ///
    /// # Errors
    /// A `.env` file that can't be read.
    pub fn read() -> Result<Self, SettingsError> {
        let mut variables = HashMap::new();
        match dotenvy::from_path_iter(".env") {
            Ok(lines) => {
                for line in lines {
                    let (name, value) = line.map_err(|error| problem(".env", &dotenv_problem(&error)))?;
                    variables.insert(name, value);
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => return Err(problem(".env", &dotenv_problem(&error))),
        }
        for (name, value) in std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))) {
            match value.into_string() {
                // Empty is unset: what the file says holds.
                Ok(value) if value.is_empty() => {}
                Ok(value) => drop(variables.insert(name, value)),
                // A setting that can't be read must not pass for one that is not set.
                Err(_) if SETTINGS.contains(&name.as_str()) => return Err(problem(&name, "is not UTF-8")),
                Err(_) => {}
            }
        }
        Ok(Self(variables))
    }

    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

/// What `dotenvy` found wrong, without the line itself: it may hold a secret.
fn dotenv_problem(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(line, _) => {
            let name: String = line.split('=').next().unwrap_or_default().trim().chars().take(40).collect();
            format!("has a line that can't be parsed: {name}=…")
        }
        _ => "can't be read".to_owned(),
    }
}

/// Settings that are missing or malformed: a line each, that names the setting and says how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

/// The error of a single setting.
#[must_use]
pub fn problem(name: &str, what: &str) -> SettingsError {
    SettingsError(vec![format!("{name} {what}")])
}
