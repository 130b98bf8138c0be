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

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The environment of the process.
    Environment,
    /// The `.env` file.
    DotEnv,
    /// A file that this other setting names.
    File(String),
    /// Nothing is set: what holds then.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => formatter.write_str("environment"),
            Self::DotEnv => formatter.write_str(".env"),
            Self::File(setting) => write!(formatter, "file of {setting}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// The variables of the process, over those of a `.env` file. An empty value counts as unset.
#[derive(Default)]
pub struct Environment(HashMap<String, Variable>);

struct Variable {
    /// `None`: it is not UTF-8.
    value: Option<String>,
    origin: Origin,
}

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
                    variables.insert(name, Variable { value: Some(value), origin: Origin::DotEnv });
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => return Err(problem(".env", &dotenv_problem(&error))),
        }
        for (name, value) in std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))) {
            // Empty is unset: what the file says holds.
            if !value.is_empty() {
                variables.insert(name, Variable { value: value.into_string().ok(), origin: Origin::Environment });
            }
        }
        Ok(Self(variables))
    }

    /// The value of a variable that is set, and neither empty nor unreadable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|variable| variable.value.as_deref()).filter(|value| !value.is_empty())
    }

    /// Whether a variable is set to something that is no text.
    pub(super) fn is_unreadable(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|variable| variable.value.is_none())
    }

    /// Where the value of a variable comes from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        let is_set = self.get(name).is_some() || self.is_unreadable(name);
        self.0.get(name).filter(|_| is_set).map_or(Origin::Default, |variable| variable.origin.clone())
    }

    /// The names of all variables, whatever they are for.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let variable = |value: &str| Variable { value: Some(value.to_owned()), origin: Origin::Environment };
        Self(variables.map(|(name, value)| (name.to_owned(), variable(value))).into())
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
