//! Everything that can be set, as it holds, and what is wrong with it: for `contacts config check`.

use super::reader::{Reader, Setting};
use super::{Environment, LogSettings, ServeSettings};

/// Everything that can be set, as it holds, and what is wrong with it.
#[derive(Debug)]
pub struct SettingsReport {
    /// Every setting, in the order of the parts that they are of.
    pub settings: Vec<Setting>,
    /// What is missing or malformed: a line each, that names the setting and says how to mend it.
    pub problems: Vec<String>,
    /// What is no setting, but looks like one that is misspelt: a line each.
    pub suspicions: Vec<String>,
    /// What `serve` would run with. What is malformed has its default here.
    pub serve: ServeSettings,
    /// How log lines would be written.
    pub log: LogSettings,
}

/// How many letters a name may differ in from that of a setting, to be taken for a slip.
const SLIP: usize = 2;

impl SettingsReport {
    /// Reads all settings there are, those of `contacts dev` too.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let mut reader = Reader::new(environment);
        let serve = reader.serve();
        let log = reader.log();
        // Read for the list of settings alone.
        let _ = (reader.traces(), reader.data_dir(), reader.embedded());
        let suspicions = suspicions(environment, &reader.settings);
        Self { settings: reader.settings, problems: reader.problems, suspicions, serve, log }
    }
}

fn suspicions(environment: &Environment, settings: &[Setting]) -> Vec<String> {
    let is_known = |name: &str| settings.iter().any(|setting| setting.name == name);
    let meant = |name: &str| {
        let is_near = |setting: &&Setting| strsim::osa_distance(name, &setting.name) <= SLIP;
        settings.iter().find(is_near).map(|setting| setting.name.clone())
    };
    let unknown = environment.names().filter(|name| !is_known(name));
    let mut lines: Vec<_> =
        unknown.filter_map(|name| Some(format!("{name} is no setting: is {} meant?", meant(name)?))).collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    /// What only `docker compose` reads.
    const OF_COMPOSE: [&str; 2] = ["CONTACTS_OWNER_PASSWORD", "CONTACTS_APP_PASSWORD"];

    #[test]
    fn the_example_names_exactly_the_settings_there_are() {
        let report = SettingsReport::of(&Environment::default());
        let mut read: Vec<_> = report.settings.iter().map(|setting| &*setting.name).chain(OF_COMPOSE).collect();
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
    fn the_example_shows_the_defaults() {
        for setting in SettingsReport::of(&Environment::default()).settings {
            assert_eq!(setting.origin, Origin::Default, "{}", setting.name);
            let is_of_this_machine = setting.name == "CONTACTS_DATA_DIR";
            if let Some(default) = setting.value.filter(|_| !is_of_this_machine) {
                let line = format!("\n#{}={default}\n", setting.name);
                assert!(include_str!("../../.env.example").contains(&line), "{line}");
            }
        }
    }

    #[test]
    fn knows_a_slip_from_what_others_set() {
        let environment = [("JWT_SECRT", "x"), ("DATABASE_UR", "x"), ("PATH", "x"), ("PGUSER", "x"), ("RUST_LOG", "x")];
        let suspicions = SettingsReport::of(&environment.into()).suspicions;
        assert_eq!(
            suspicions,
            ["DATABASE_UR is no setting: is DATABASE_URL meant?", "JWT_SECRT is no setting: is JWT_SECRET meant?"]
        );
    }
}
