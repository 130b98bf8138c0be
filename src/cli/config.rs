//! `contacts config check`: every setting as it holds, where it comes from, and what is wrong.

use std::fmt::Write as _;

use clap::Subcommand;

use super::palette::Palette;
use super::{CliError, print};
use crate::auth::Verifier;
use crate::config::{Environment, Setting, SettingsError, SettingsReport};
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print every setting as it holds, where it comes from, and all that is wrong. Exit 1 if anything is
    ///
    /// Reads the settings as `contacts serve` does, and the files that they name; asks neither the database nor an
    /// issuer of keys. Secrets are not printed, nor are passwords in addresses.
    Check,
}

pub(super) fn run(environment: &Environment, command: &Command) -> Result<(), CliError> {
    match command {
        Command::Check => check(environment),
    }
}

fn check(environment: &Environment) -> Result<(), CliError> {
    let report = SettingsReport::of(environment);
    print(&table(&report.settings, Palette::of_output(&report.log)))?;
    let alarm = Palette::of_errors(&report.log).alarm;
    report.suspicions.iter().for_each(|line| eprintln!("{alarm}warning:{alarm:#} {line}"));
    let problems = problems(report);
    if !problems.is_empty() {
        return Err(SettingsError(problems).into());
    }
    print("\n`contacts serve` can start with these settings.\n")
}

/// What is wrong with the settings themselves, and with what they name.
fn problems(report: SettingsReport) -> Vec<String> {
    let mut problems = report.problems;
    let keys = Verifier::new(&report.serve.tokens).err();
    let filter = telemetry::filter(&report.log).err();
    for SettingsError(lines) in keys.into_iter().chain(filter) {
        problems.extend(lines);
    }
    problems
}

/// A setting a line, in columns. The value comes last: it may be of any length.
fn table(settings: &[Setting], palette: Palette) -> String {
    let rows = settings.iter().map(|setting| {
        let origin = setting.value.as_ref().map_or("not set".to_owned(), |_| setting.origin.to_string());
        (&*setting.name, origin, setting.value.as_deref().unwrap_or("–"))
    });
    let rows: Vec<_> = rows.collect();
    let width = |longest: Option<usize>, title: &str| longest.unwrap_or_default().max(title.len());
    let names = width(rows.iter().map(|(name, ..)| name.len()).max(), "SETTING");
    let origins = width(rows.iter().map(|(_, origin, _)| origin.len()).max(), "FROM");
    let Palette { title, accent, faint, .. } = palette;
    let mut table = format!("{title}{:names$}  {:origins$}  VALUE{title:#}\n", "SETTING", "FROM");
    for (name, origin, value) in rows {
        // What somebody has set is what they look for.
        let style = if ["not set", "default"].contains(&&*origin) { faint } else { accent };
        let _ = writeln!(table, "{name:names$}  {style}{origin:origins$}{style:#}  {value}");
    }
    table
}
