//! The command line (contract §8): a file a command.

mod client;
mod dev;
mod export;
mod health;
mod import;
mod migrate;
mod serve;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Environment, LogSettings, SettingsError};
use crate::embedded::EmbeddedError;
use crate::telemetry;

/// A multi-tenant contacts (CRM) service on PostgreSQL.
///
/// Without a command: `contacts dev`, the service with a database of its own and sample data.
#[derive(Debug, Parser)]
#[command(name = "contacts", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve on this machine only, with a database of its own, a sample account and a token to try it with
    Dev,
    /// Serve. Needs DATABASE_URL, and JWT_SECRET or JWT_PUBLIC_KEY
    Serve,
    /// Bring the schema of DATABASE_URL up to date
    Migrate,
    /// Ask the service at BIND_ADDR whether it is ready, for a container's health check
    Health,
    /// Print a token, signed with JWT_SECRET
    Token(token::Arguments),
    /// Make, list and revoke API clients, which get their own tokens. Needs DATABASE_URL
    #[command(subcommand)]
    Client(client::Command),
    /// Create and change contacts by the rows of a CSV file. Needs DATABASE_URL
    Import(import::Arguments),
    /// Write all active contacts of an account to standard output. Needs DATABASE_URL
    Export(export::Arguments),
}

/// Why a command failed: lines for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Settings are missing or malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no embedded database.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command.unwrap_or(Command::Dev)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.to_string().lines().for_each(|line| eprintln!("error: {line}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), CliError> {
    let environment = Environment::read()?;
    // What only prints a line needs no log.
    if !matches!(command, Command::Token(_) | Command::Health) {
        telemetry::install(&LogSettings::read(&environment, "info")?)?;
    }
    match command {
        Command::Dev => block_on(dev::run(&environment)),
        Command::Serve => block_on(serve::run(&environment)),
        Command::Migrate => block_on(migrate::run(&environment)),
        Command::Health => health::run(&environment),
        Command::Token(arguments) => token::run(&environment, &arguments),
        Command::Client(command) => block_on(client::run(&environment, &command)),
        Command::Import(arguments) => block_on(import::run(&environment, &arguments)),
        Command::Export(arguments) => block_on(export::run(&environment, &arguments)),
    }
}

fn block_on(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| CliError::Other(format!("could not start: {error}")))?;
    let done = runtime.block_on(command);
    // Work in the background must not hold up the end.
    runtime.shutdown_background();
    done
}
