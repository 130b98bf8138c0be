//! The command line (contract §8): a file a command.

mod browser;
mod client;
mod completions;
mod config;
mod dev;
mod export;
mod health;
mod help;
mod import;
mod listen;
mod migrate;
mod palette;
mod serve;
mod stop;
mod token;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Environment, LogSettings, SettingsError, TraceSettings};
use crate::embedded::EmbeddedError;
use crate::telemetry;

/// A multi-tenant contacts (CRM) service on PostgreSQL.
///
/// Without a command: `contacts dev`, the service with a database of its own and sample data.
#[derive(Debug, Parser)]
#[command(name = "contacts", version, about, styles = palette::HELP, after_help = help::PROGRAM, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve on this machine only, with a database of its own, a sample account and a token to try it with
    #[command(after_help = help::DEV)]
    Dev(dev::Arguments),
    /// Serve. Needs DATABASE_URL, and a key for tokens
    #[command(after_help = help::SERVE)]
    Serve,
    /// Bring the schema of DATABASE_URL up to date
    #[command(after_help = help::MIGRATE)]
    Migrate,
    /// Ask the service at BIND_ADDR whether it is ready, for a container's health check
    #[command(after_help = help::HEALTH)]
    Health,
    /// Print a token, signed with JWT_SECRET
    #[command(after_help = help::TOKEN)]
    Token(token::Arguments),
    /// Make, list and revoke API clients, which get their own tokens. Needs DATABASE_URL
    #[command(subcommand, after_help = help::CLIENT)]
    Client(client::Command),
    /// Create and change contacts by the rows of a CSV file. Needs DATABASE_URL
    #[command(after_help = help::IMPORT)]
    Import(import::Arguments),
    /// Write all active contacts of an account to standard output. Needs DATABASE_URL
    #[command(after_help = help::EXPORT)]
    Export(export::Arguments),
    /// See the settings, and what is wrong with them
    #[command(subcommand)]
    Config(config::Command),
    /// Print what a shell needs to complete these commands
    #[command(after_help = help::COMPLETIONS)]
    Completions(completions::Arguments),
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
    match run(cli.command.unwrap_or(Command::Dev(dev::Arguments::default()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.to_string().lines().for_each(|line| eprintln!("error: {line}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), CliError> {
    if let Command::Completions(arguments) = command {
        return completions::run(&arguments);
    }
    let environment = Environment::read()?;
    // What only prints needs no log.
    if !matches!(command, Command::Token(_) | Command::Health | Command::Config(_)) {
        // Only what serves has metrics and traces.
        let serves = matches!(command, Command::Serve | Command::Dev(_));
        let traces = if serves { TraceSettings::read(&environment)? } else { None };
        if serves {
            telemetry::metrics::install();
        }
        telemetry::install(&LogSettings::read(&environment)?, traces.as_ref())?;
    }
    match command {
        Command::Dev(arguments) => block_on(dev::run(&environment, &arguments)),
        Command::Serve => block_on(serve::run(&environment)),
        Command::Migrate => block_on(migrate::run(&environment)),
        Command::Health => health::run(&environment),
        Command::Token(arguments) => token::run(&environment, &arguments),
        Command::Client(command) => block_on(client::run(&environment, &command)),
        Command::Import(arguments) => block_on(import::run(&environment, &arguments)),
        Command::Export(arguments) => block_on(export::run(&environment, &arguments)),
        Command::Config(command) => config::run(&environment, &command),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// Writes to standard output. Whoever reads it may stop at any line.
fn print(text: &str) -> Result<(), CliError> {
    let mut output = std::io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Other(format!("could not write to standard output: {error}")))
        }
        _ => Ok(()),
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
