//! `contacts config check`: prints the effective settings, their sources, and every problem.

use std::fmt::Write as _;

use clap::Subcommand;

use super::error::CliError;
use super::output::print;
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
    print(&settings_table(&report.settings, TerminalColors::for_stdout(&report.log)))?;
    let warning = TerminalColors::for_stderr(&report.log).warning;
    report.probable_typos.iter().for_each(|line| eprintln!("{warning}warning:{warning:#} {line}"));
    let problems = all_problems(report);
    if !problems.is_empty() {
        return Err(SettingsError(problems).into());
    }
    print("\nThe settings are valid: `contacts serve` can start.\n")
}

/// Returns the problems of the settings, of the keys that they name, and of the log filter.
fn all_problems(report: SettingsReport) -> Vec<String> {
    let mut problems = report.problems;
    let invalid_keys = Verifier::new(&report.serve.tokens).err();
    let invalid_log_filter = telemetry::parse_log_filter(&report.log).err();
    for SettingsError(lines) in invalid_keys.into_iter().chain(invalid_log_filter) {
        problems.extend(lines);
    }
    problems
}

/// Formats the settings as a table with one row for each setting. The value is the last column, because its length
/// varies most.
fn settings_table(settings: &[Setting], colors: TerminalColors) -> String {
    let rows = settings.iter().map(|setting| {
        let origin = setting.value.as_ref().map_or("not set".to_owned(), |_| setting.origin.to_string());
        (&*setting.name, origin, setting.value.as_deref().unwrap_or("–"))
    });
    let rows: Vec<_> = rows.collect();
    let width = |longest: Option<usize>, title: &str| longest.unwrap_or_default().max(title.len());
    let name_width = width(rows.iter().map(|(name, ..)| name.len()).max(), "SETTING");
    let origin_width = width(rows.iter().map(|(_, origin, _)| origin.len()).max(), "SOURCE");
    let TerminalColors { title, accent, faint, .. } = colors;
    let mut table = format!("{title}{:name_width$}  {:origin_width$}  VALUE{title:#}\n", "SETTING", "SOURCE");
    for (name, origin, value) in rows {
        // Highlights the settings that the user has set.
        let style = if ["not set", "default"].contains(&&*origin) { faint } else { accent };
        let _ = writeln!(table, "{name:name_width$}  {style}{origin:origin_width$}{style:#}  {value}");
    }
    table
}
