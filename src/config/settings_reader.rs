//! Reads settings one after another, and records each setting and its problems. This record is the only list of
//! settings in the code.

use std::fmt::Display;
use std::fs;
use std::str::FromStr;
use std::time::Duration;

use super::environment::{Environment, SettingOrigin};
use super::redaction::{HIDDEN, redact};
use super::secret::Secret;
use super::settings_error::SettingsError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A setting with its effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The title of the group that the setting belongs to.
    pub group: &'static str,
    /// The name of the variable.
    pub name: String,
    /// The printable value, on one line and without secrets. `None` if it is not set and has no default.
    pub value: Option<String>,
    /// The source of the value.
    pub origin: SettingOrigin,
}

/// Reads settings, and records them and their problems.
pub(super) struct SettingsReader<'a> {
    environment: &'a Environment,
    pub(super) problems: Vec<String>,
    pub(super) settings: Vec<Setting>,
    group: &'static str,
}

impl<'a> SettingsReader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment, problems: vec![], settings: vec![], group: "" }
    }

    /// Reads one group of settings.
    ///
    /// # Errors
    /// Lists every setting of the group that is missing or malformed.
    pub(super) fn read_group<T>(
        environment: &'a Environment,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, SettingsError> {
        let mut reader = Self::new(environment);
        let settings = read(&mut reader);
        if reader.problems.is_empty() { Ok(settings) } else { Err(SettingsError(reader.problems)) }
    }

    /// Reads settings that belong to the group with this title.
    pub(super) fn in_group<T>(&mut self, title: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.group, title);
        let settings = read(self);
        self.group = outer;
        settings
    }

    /// Records a problem. `problem` continues the sentence that starts with the name of the setting.
    pub(super) fn add_problem(&mut self, name: &str, problem: &str) {
        let problem = format!("{name} {problem}");
        // Two groups can read the same setting. Its problem is reported once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Returns whether at least one of these settings is set, even if its value is malformed.
    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.environment.origin(name) != SettingOrigin::Default)
    }

    /// Returns a variable that describes the machine, such as `HOME`, and is not a setting of this service.
    pub(super) fn platform_variable(&self, name: &str) -> Option<&'a str> {
        self.environment.get(name)
    }

    pub(super) fn read_text(&mut self, name: &str) -> Option<String> {
        self.read_and_record(name, None).map(str::to_owned)
    }

    pub(super) fn read_text_or(&mut self, name: &str, default: &str) -> String {
        self.read_and_record(name, Some(default.to_owned())).unwrap_or(default).to_owned()
    }

    /// Reads a secret from the setting, or from the file at the path in the setting `{name}_FILE`, such as a secret
    /// mounted into a container.
    pub(super) fn read_secret(&mut self, name: &str) -> Option<Secret> {
        self.read_secret_with_redaction(name, |_| HIDDEN.to_owned())
    }

    /// Reads a secret like [`Self::read_secret`]. `redact` returns the part of it that may be printed.
    pub(super) fn read_secret_with_redaction(&mut self, name: &str, redact: impl Fn(&str) -> String) -> Option<Secret> {
        let file_setting = format!("{name}_FILE");
        let (value, origin) = match (self.lookup(name), self.lookup(&file_setting)) {
            (Some(_), Some(_)) => {
                self.add_problem(name, &format!("and {file_setting} are both set: unset one of them"));
                (None, SettingOrigin::Default)
            }
            (None, Some(path)) => {
                (self.read_secret_file(&file_setting, path), SettingOrigin::File(file_setting.clone()))
            }
            (value, None) => (value.map(str::to_owned), self.environment.origin(name)),
        };
        self.record(name, value.as_deref().map(redact), origin);
        self.read_and_record(&file_setting, None);
        value.map(Secret::new)
    }

    /// Reads and parses a value. Records a problem with the text `rule` and returns the default if it is malformed.
    pub(super) fn read_parsed<T: FromStr + Display>(
        &mut self,
        name: &str,
        default: T,
        is_valid: impl Fn(&T) -> bool,
        rule: &str,
    ) -> T {
        let Some(text) = self.read_and_record(name, Some(default.to_string())) else { return default };
        match text.parse().ok().filter(is_valid) {
            Some(value) => value,
            None => {
                self.add_problem(name, rule);
                default
            }
        }
    }

    /// Reads and parses a value that has no default. Records a problem with the text `rule` if it is malformed.
    pub(super) fn read_optional<T: FromStr>(&mut self, name: &str, rule: &str) -> Option<T> {
        let value = self.read_text(name)?.parse().ok();
        if value.is_none() {
            self.add_problem(name, rule);
        }
        value
    }

    pub(super) fn read_bool(&mut self, name: &str, default: bool) -> bool {
        self.read_parsed(name, default, |_| true, "must be true or false")
    }

    pub(super) fn read_milliseconds(&mut self, name: &str, default: u64) -> Duration {
        const MILLISECONDS_PER_DAY: u64 = DAY.as_secs() * 1_000;
        let rule = "must be a number of milliseconds from 1 to 86400000";
        Duration::from_millis(self.read_parsed(name, default, |value| (1..=MILLISECONDS_PER_DAY).contains(value), rule))
    }

    pub(super) fn read_bytes(&mut self, name: &str, default: usize) -> usize {
        self.read_parsed(name, default, |bytes| *bytes > 0, "must be a number of bytes above 0")
    }

    pub(super) fn read_days(&mut self, name: &str, default: Duration) -> Duration {
        let rule = "must be a number of days from 1 to 36500";
        let default = u32::try_from(default.as_secs() / DAY.as_secs()).unwrap_or(u32::MAX);
        DAY.saturating_mul(self.read_parsed(name, default, |days| (1..=36_500).contains(days), rule))
    }

    /// Reads a secret from a file, without the line break that editors add at the end.
    fn read_secret_file(&mut self, setting: &str, path: &str) -> Option<String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.add_problem(setting, &format!("names a file that cannot be read: {error}"));
                return None;
            }
        };
        let secret = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.trim().is_empty() {
            self.add_problem(setting, "names an empty file");
            return None;
        }
        Some(secret.to_owned())
    }

    /// Returns the value of a setting. Records the setting with its printable value or the default.
    fn read_and_record(&mut self, name: &str, default: Option<String>) -> Option<&'a str> {
        let value = self.lookup(name);
        self.record(name, value.map(redact).or(default), self.environment.origin(name));
        value
    }

    /// Returns the value of a setting. Records a problem if it is not UTF-8, because it must not count as unset.
    fn lookup(&mut self, name: &str) -> Option<&'a str> {
        if self.environment.is_unreadable(name) {
            self.add_problem(name, "is not UTF-8");
        }
        self.environment.get(name)
    }

    fn record(&mut self, name: &str, value: Option<String>, origin: SettingOrigin) {
        if !self.settings.iter().any(|setting| setting.name == name) {
            self.settings.push(Setting { group: self.group, name: name.to_owned(), value, origin });
        }
    }
}

/// Returns whether the text is an `http` or `https` URL with a host.
pub(super) fn is_web_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
}
