//! `contacts config check`: prints the effective settings, their sources, and every problem.

use std::collections::HashSet;
use std::fmt::Write as _;

use clap::Subcommand;

use super::error::CliError;
use super::output::{group_digits, print};
use super::terminal_colors::TerminalColors;
use crate::auth::Verifier;
use crate::config::{Environment, Setting, SettingsError, SettingsReport};
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the effective settings, their sources, and every problem. Exits with 1 if there is a problem
    ///
    /// Reads the same settings as `contacts serve`, and the files that they name. Does not connect to the database or
    /// to the issuer of a key set. Secrets, and passwords in URLs, are not printed.
    Check,
}

pub(super) fn run(environment: &Environment, command: &ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check => check_settings(environment),
    }
}

fn check_settings(environment: &Environment) -> Result<(), CliError> {
    let report = SettingsReport::from_environment(environment);
    let (stdout, stderr) = (TerminalColors::for_stdout(&report.log), TerminalColors::for_stderr(&report.log));
    let problems = all_problems(&report);
    print(&settings_table(&report.settings, &problems, stdout))?;
    report.probable_typos.iter().for_each(|line| eprintln!("{0}warning:{0:#} {line}", stderr.warning));
    if !problems.is_empty() {
        return Err(SettingsError(problems).into());
    }
    print("\nThe settings are valid: `contacts serve` can start.\n")
}

/// Returns the problems of the settings, of the keys that they name, and of the log filter. Each begins with the name of a setting.
fn all_problems(report: &SettingsReport) -> Vec<String> {
    let mut problems = report.problems.clone();
    let invalid_keys = Verifier::new(&report.serve.tokens).err();
    let invalid_log_filter = telemetry::parse_log_filter(&report.log).err();
    for SettingsError(lines) in invalid_keys.into_iter().chain(invalid_log_filter) {
        problems.extend(lines);
    }
    problems
}

/// Formats the settings as a table for people, in groups, with one row for each setting. Rows with a problem begin with `!`. The value is
/// the last column, because its length varies most.
fn settings_table(settings: &[Setting], problems: &[String], colors: TerminalColors) -> String {
    let origin =
        |setting: &Setting| setting.value.as_ref().map_or_else(|| "not set".to_owned(), |_| setting.origin.to_string());
    let name_width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
    let origin_width = settings.iter().map(|setting| origin(setting).len()).max().unwrap_or_default();
    let mut groups: Vec<_> = settings.iter().map(|setting| setting.group).collect();
    let mut seen = HashSet::new();
    groups.retain(|group| seen.insert(*group));
    let TerminalColors { title, accent, faint, error, .. } = colors;
    let mut table = String::new();
    for group in groups {
        let _ = writeln!(table, "{}{title}{group}{title:#}", if table.is_empty() { "" } else { "\n" });
        for setting in settings.iter().filter(|setting| setting.group == group) {
            let Setting { name, value, .. } = setting;
            let origin = origin(setting);
            let is_wrong = problems.iter().any(|problem| problem.split(' ').next() == Some(name));
            // Highlights the settings that are wrong, and those that the user has set.
            let style = match &*origin {
                _ if is_wrong => error,
                "not set" | "default" => faint,
                _ => accent,
            };
            let mark = if is_wrong { '!' } else { ' ' };
            let value = value.as_ref().map_or_else(|| "–".to_owned(), |value| with_unit(name, value));
            let _ = writeln!(
                table,
                "{style}{mark}{style:#} {name:name_width$}  {style}{origin:origin_width$}{style:#}  {value}"
            );
        }
    }
    table
}

/// Returns the value of a setting for people, with the unit that its name says.
fn with_unit(name: &str, value: &str) -> String {
    let Ok(number) = value.parse::<u64>() else { return value.to_owned() };
    let units = [("_MS", " ms"), ("_BYTES", " bytes"), ("_DAYS", " days")];
    let unit = units.into_iter().find_map(|(suffix, unit)| name.ends_with(suffix).then_some(unit)).unwrap_or_default();
    group_digits(number) + unit
}
