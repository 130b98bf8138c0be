//! The report of `contacts config check`: all settings with their effective values, and their problems.

use super::environment::Environment;
use super::log::LogSettings;
use super::serve::ServeSettings;
use super::settings_reader::{Setting, SettingsReader};

/// All settings with their effective values, and their problems.
#[derive(Debug)]
pub struct SettingsReport {
    /// Every setting.
    pub settings: Vec<Setting>,
    /// One line for each missing or malformed setting, which names the setting and says how to fix it.
    pub problems: Vec<String>,
    /// One line for each variable that looks like a misspelled setting.
    pub probable_typos: Vec<String>,
    /// The settings that `serve` would use. A malformed setting has its default here.
    pub serve: ServeSettings,
    /// The settings of the log.
    pub log: LogSettings,
}

/// The maximum edit distance between the name of a variable and of a setting to report it as a probable typo.
const MAX_TYPO_DISTANCE: usize = 2;

impl SettingsReport {
    /// Reads all settings, including the settings of `contacts dev`.
    #[must_use]
    pub fn from_environment(environment: &Environment) -> Self {
        let mut reader = SettingsReader::new(environment);
        let serve = reader.read_serve_settings();
        let log = reader.in_group("Log", SettingsReader::read_log_settings);
        // Reads these only to add them to the list of settings.
        reader.in_group("Traces", SettingsReader::read_trace_settings);
        reader.in_group("contacts dev", |reader| (reader.read_data_dir(), reader.read_embedded_settings()));
        let probable_typos = probable_typos(environment, &reader.settings);
        Self { settings: reader.settings, problems: reader.problems, probable_typos, serve, log }
    }
}

fn probable_typos(environment: &Environment, settings: &[Setting]) -> Vec<String> {
    let is_known = |name: &str| settings.iter().any(|setting| setting.name == name);
    let closest = |name: &str| {
        let is_near = |setting: &&Setting| strsim::osa_distance(name, &setting.name) <= MAX_TYPO_DISTANCE;
        settings.iter().find(is_near).map(|setting| setting.name.clone())
    };
    let unknown = environment.names().filter(|name| !is_known(name));
    let mut lines: Vec<_> =
        unknown.filter_map(|name| Some(format!("unknown setting {name}: did you mean {}?", closest(name)?))).collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SettingOrigin;

    /// Variables that only `docker compose` reads.
    const COMPOSE_ONLY: [&str; 2] = ["CONTACTS_OWNER_PASSWORD", "CONTACTS_APP_PASSWORD"];

    #[test]
    fn env_example_lists_every_setting_and_no_other() {
        let report = SettingsReport::from_environment(&Environment::default());
        let mut read: Vec<_> = report.settings.iter().map(|setting| &*setting.name).chain(COMPOSE_ONLY).collect();
        let lines = include_str!("../../.env.example").lines();
        let name = |line: &'static str| {
            let (name, _) = line.trim_start_matches('#').split_once('=')?;
            let is_name = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
            name.chars().all(is_name).then_some(name)
        };
        let mut documented: Vec<_> = lines.filter_map(name).collect();
        read.sort_unstable();
        documented.sort_unstable();
        assert_eq!(documented, read);
    }

    #[test]
    fn env_example_shows_the_default_of_every_setting() {
        for setting in SettingsReport::from_environment(&Environment::default()).settings {
            assert_eq!(setting.origin, SettingOrigin::Default, "{}", setting.name);
            let depends_on_machine = setting.name == "CONTACTS_DATA_DIR";
            if let Some(default) = setting.value.filter(|_| !depends_on_machine) {
                let line = format!("\n#{}={default}\n", setting.name);
                assert!(include_str!("../../.env.example").contains(&line), "{line}");
            }
        }
    }

    #[test]
    fn probable_typo_of_a_setting_is_reported_and_other_variables_are_not() {
        let environment = [("JWT_SECRT", "x"), ("DATABASE_UR", "x"), ("PATH", "x"), ("PGUSER", "x"), ("RUST_LOG", "x")];
        let probable_typos = SettingsReport::from_environment(&environment.into()).probable_typos;
        assert_eq!(
            probable_typos,
            [
                "unknown setting DATABASE_UR: did you mean DATABASE_URL?",
                "unknown setting JWT_SECRT: did you mean JWT_SECRET?"
            ]
        );
    }
}
