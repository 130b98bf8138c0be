//! The environment: the variables of the process and of the `.env` file.

use std::collections::HashMap;
use std::fmt;

use super::settings_error::SettingsError;

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    /// The environment of the process.
    Environment,
    /// The `.env` file.
    DotEnv,
    /// The file at the path in the setting of this name.
    File(String),
    /// The default; the setting is not set.
    Default,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => formatter.write_str("environment"),
            Self::DotEnv => formatter.write_str(".env"),
            Self::File(setting) => write!(formatter, "file of {setting}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// The variables of the `.env` file and of the process, which takes precedence. An empty value counts as unset.
#[derive(Default)]
pub struct Environment(HashMap<String, Variable>);

struct Variable {
    /// `None` if the value is not UTF-8.
    value: Option<String>,
    origin: SettingOrigin,
}

impl Environment {
    /// Reads the environment of the process, and the `.env` file of the working directory if there is one.
    ///
    /// # Errors
    /// Fails if the `.env` file exists but cannot be read or parsed.
    pub fn read() -> Result<Self, SettingsError> {
        let mut variables = HashMap::new();
        match dotenvy::from_path_iter(".env") {
            Ok(lines) => {
                for line in lines {
                    let (name, value) = line.map_err(|error| dotenv_error(&error))?;
                    variables.insert(name, Variable { value: Some(value), origin: SettingOrigin::DotEnv });
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => return Err(dotenv_error(&error)),
        }
        for (name, value) in std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))) {
            // An empty variable counts as unset, so the value of the `.env` file applies.
            if !value.is_empty() {
                variables
                    .insert(name, Variable { value: value.into_string().ok(), origin: SettingOrigin::Environment });
            }
        }
        Ok(Self(variables))
    }

    /// Returns the value of a variable, unless it is unset, empty or not UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|variable| variable.value.as_deref()).filter(|value| !value.is_empty())
    }

    /// Returns whether a variable is set to a value that is not UTF-8.
    pub(super) fn is_unreadable(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|variable| variable.value.is_none())
    }

    /// Returns the source of the value of a variable.
    pub(super) fn origin(&self, name: &str) -> SettingOrigin {
        let is_set = self.get(name).is_some() || self.is_unreadable(name);
        self.0.get(name).filter(|_| is_set).map_or(SettingOrigin::Default, |variable| variable.origin.clone())
    }

    /// Returns the names of all variables, including the variables of other programs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let variable = |value: &str| Variable { value: Some(value.to_owned()), origin: SettingOrigin::Environment };
        Self(variables.map(|(name, value)| (name.to_owned(), variable(value))).into())
    }
}

/// Creates the error for a `.env` file, without the value of the malformed line, which may be a secret.
fn dotenv_error(error: &dotenvy::Error) -> SettingsError {
    let problem = match error {
        dotenvy::Error::LineParse(line, _) => {
            let name: String = line.split('=').next().unwrap_or_default().trim().chars().take(40).collect();
            format!("contains a malformed line: {name}=…")
        }
        _ => "cannot be read".to_owned(),
    };
    SettingsError::new(".env", &problem)
}
