//! Reads settings one after another, and collects what is wrong with them.

use std::str::FromStr;
use std::time::Duration;

use super::{Environment, SettingsError};

/// The seconds of a day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads settings; collects what is wrong with them.
pub(super) struct Reader<'a> {
    environment: &'a Environment,
    pub(super) problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment, problems: vec![] }
    }

    pub(super) fn finish<T>(self, settings: T) -> Result<T, SettingsError> {
        if self.problems.is_empty() { Ok(settings) } else { Err(SettingsError(self.problems)) }
    }

    pub(super) fn complain(&mut self, name: &str, what: &str) {
        let problem = format!("{name} {what}");
        // A setting that two parts read is named once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(str::to_owned)
    }

    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, default: T, is_good: impl Fn(&T) -> bool, rule: &str) -> T {
        let Some(text) = self.environment.get(name) else { return default };
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
        let value = self.environment.get(name)?.parse().ok();
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
        let days = self.parsed(name, 0, |days| (1..=36_500).contains(days), rule);
        if days == 0 { default } else { DAY.saturating_mul(days) }
    }
}
