//! Reads settings one after another. Collects what is wrong with them, and which there are: the only list of them.

use std::fmt::Display;
use std::fs;
use std::str::FromStr;
use std::time::Duration;

use super::environment::Origin;
use super::shown::{HIDDEN, shown};
use super::{Environment, Secret, SettingsError};

/// The seconds of a day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A setting, as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name of the variable.
    pub name: String,
    /// Its value as it may be printed, in one line. `None`: it is not set, and nothing holds in its place.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Reads settings; collects them, and what is wrong with them.
pub(super) struct Reader<'a> {
    environment: &'a Environment,
    pub(super) problems: Vec<String>,
    pub(super) settings: Vec<Setting>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment, problems: vec![], settings: vec![] }
    }

    /// Reads a part of the settings alone.
    ///
    /// # Errors
    /// Every setting of it that is missing or malformed.
    pub(super) fn read<T>(environment: &'a Environment, part: impl FnOnce(&mut Self) -> T) -> Result<T, SettingsError> {
        let mut reader = Self::new(environment);
        let settings = part(&mut reader);
        if reader.problems.is_empty() { Ok(settings) } else { Err(SettingsError(reader.problems)) }
    }

    pub(super) fn complain(&mut self, name: &str, what: &str) {
        let problem = format!("{name} {what}");
        // A setting that two parts read is named once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Whether any of these is set, to whatever.
    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.environment.origin(name) != Origin::Default)
    }

    /// A variable that is no setting of ours, but says where things are on this machine.
    pub(super) fn of_the_platform(&self, name: &str) -> Option<&'a str> {
        self.environment.get(name)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.recorded(name, None).map(str::to_owned)
    }

    pub(super) fn text_or(&mut self, name: &str, default: &str) -> String {
        self.recorded(name, Some(default.to_owned())).unwrap_or(default).to_owned()
    }

    /// A text that must not be printed. It may also be in a file, which the setting `{name}_FILE` names, as a secret is
    /// that is mounted into a container.
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        self.secret_shown(name, |_| HIDDEN.to_owned())
    }

    /// The same, of which a part may be printed.
    pub(super) fn secret_shown(&mut self, name: &str, shown: impl Fn(&str) -> String) -> Option<Secret> {
        let by_file = format!("{name}_FILE");
        let (value, origin) = match (self.lookup(name), self.lookup(&by_file)) {
            (Some(_), Some(_)) => {
                self.complain(name, &format!("and {by_file} are both set: unset one of them"));
                (None, Origin::Default)
            }
            (None, Some(path)) => (self.mounted(&by_file, path), Origin::File(by_file.clone())),
            (value, None) => (value.map(str::to_owned), self.environment.origin(name)),
        };
        self.record(name, value.as_deref().map(shown), origin);
        self.recorded(&by_file, None);
        value.map(Secret::new)
    }

    pub(super) fn parsed<T: FromStr + Display>(
        &mut self,
        name: &str,
        default: T,
        is_good: impl Fn(&T) -> bool,
        rule: &str,
    ) -> T {
        let Some(text) = self.recorded(name, Some(default.to_string())) else { return default };
        match text.parse().ok().filter(is_good) {
            Some(value) => value,
            None => {
                self.complain(name, rule);
                default
            }
        }
    }

    /// The same for what has no default.
    pub(super) fn optional<T: FromStr>(&mut self, name: &str, rule: &str) -> Option<T> {
        let value = self.text(name)?.parse().ok();
        if value.is_none() {
            self.complain(name, rule);
        }
        value
    }

    pub(super) fn milliseconds(&mut self, name: &str, default: u64) -> Duration {
        const MILLISECONDS_OF_A_DAY: u64 = DAY.as_secs() * 1_000;
        let rule = "must be a number of milliseconds from 1 to 86400000";
        Duration::from_millis(self.parsed(name, default, |value| (1..=MILLISECONDS_OF_A_DAY).contains(value), rule))
    }

    pub(super) fn bytes(&mut self, name: &str, default: usize) -> usize {
        self.parsed(name, default, |bytes| *bytes > 0, "must be a number of bytes above 0")
    }

    pub(super) fn days(&mut self, name: &str, default: Duration) -> Duration {
        let rule = "must be a number of days from 1 to 36500";
        let default = u32::try_from(default.as_secs() / DAY.as_secs()).unwrap_or(u32::MAX);
        DAY.saturating_mul(self.parsed(name, default, |days| (1..=36_500).contains(days), rule))
    }

    /// What a mounted file holds, without the line break that editors put at its end.
    fn mounted(&mut self, setting: &str, path: &str) -> Option<String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.complain(setting, &format!("names a file that can't be read: {error}"));
                return None;
            }
        };
        let secret = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.trim().is_empty() {
            self.complain(setting, "names an empty file");
            return None;
        }
        Some(secret.to_owned())
    }

    /// The value of a setting. It is listed as such, with what holds where it is not set.
    fn recorded(&mut self, name: &str, default: Option<String>) -> Option<&'a str> {
        let value = self.lookup(name);
        self.record(name, value.map(shown).or(default), self.environment.origin(name));
        value
    }

    /// A value that can't be read must not pass for one that is not set.
    fn lookup(&mut self, name: &str) -> Option<&'a str> {
        if self.environment.is_unreadable(name) {
            self.complain(name, "is not UTF-8");
        }
        self.environment.get(name)
    }

    fn record(&mut self, name: &str, value: Option<String>, origin: Origin) {
        if !self.settings.iter().any(|setting| setting.name == name) {
            self.settings.push(Setting { name: name.to_owned(), value, origin });
        }
    }
}

/// Whether requests can be sent there.
pub(super) fn is_web_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
}
