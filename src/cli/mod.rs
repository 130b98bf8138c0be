//! The command line (`docs/api-reference.md#command-line`). Each command has a file of its own.

mod account;
mod client;
mod completions;
mod config;
mod confirmation;
mod dev;
mod distribute;
mod error;
mod export;
mod file_descriptors;
mod graceful_shutdown;
mod health;
mod help;
mod import;
mod migrate;
mod open_browser;
mod open_repository;
mod output;
mod run_server;
mod scope_argument;
mod serve;
mod terminal_colors;
mod token;

use std::process::ExitCode;

use clap::builder::styling::Style;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{Environment, LogSettings, TraceSettings};
use crate::telemetry;
use error::CliError;
use terminal_colors::TerminalColors;

/// A multi-tenant contacts (CRM) service on PostgreSQL.
///
/// Without a command, runs `contacts dev`: the service with an embedded database and sample data.
#[derive(Debug, Parser)]
#[command(name = "contacts", version, about, after_help = help::PROGRAM)]
#[command(styles = terminal_colors::HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service locally, with an embedded database, a sample account and a token for it
    #[command(after_help = help::DEV)]
    Dev(dev::DevArguments),
    /// Run the service in production. Requires DATABASE_URL and a key that verifies tokens
    #[command(after_help = help::SERVE)]
    Serve,
    /// Apply pending migrations to the database at DATABASE_URL
    #[command(after_help = help::MIGRATE)]
    Migrate,
    /// Distribute the tables over the nodes of the Citus cluster at DATABASE_URL
    #[command(after_help = help::DISTRIBUTE)]
    Distribute(distribute::DistributeArguments),
    /// Check whether the service at BIND_ADDR is ready, for example as the health check of a container
    #[command(after_help = help::HEALTH)]
    Health,
    /// Print a token signed with JWT_SECRET
    #[command(after_help = help::TOKEN)]
    Token(token::TokenArguments),
    /// Create, list and revoke API clients, which request their own tokens
    #[command(subcommand, after_help = help::CLIENT)]
    Client(client::ClientCommand),
    /// Export or remove an account with all its data. Requires DATABASE_URL
    #[command(subcommand, after_help = help::ACCOUNT)]
    Account(account::AccountCommand),
    /// Create and update contacts from a CSV, Excel or vCard file
    #[command(after_help = help::IMPORT)]
    Import(import::ImportArguments),
    /// Write all active contacts of an account to standard output
    #[command(after_help = help::EXPORT)]
    Export(export::ExportArguments),
    /// Show the effective settings and check them
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a shell completion script for these commands
    #[command(after_help = help::COMPLETIONS)]
    Completions(completions::CompletionsArguments),
}

/// Runs the command in the arguments of the process. Prints errors to standard error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run_command(cli.command.unwrap_or(Command::Dev(dev::DevArguments::default()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let style = error_style();
            error.to_string().lines().for_each(|line| eprintln!("{style}error:{style:#} {line}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns the style of the word before an error, also if the settings cannot be read.
fn error_style() -> Style {
    let settings = Environment::read().and_then(|environment| LogSettings::read(&environment));
    settings.map(|settings| TerminalColors::for_stderr(&settings).error).unwrap_or_default()
}

fn run_command(command: Command) -> Result<(), CliError> {
    // Completions need no settings, so an invalid .env file must not prevent them.
    if let Command::Completions(arguments) = command {
        return completions::run(&arguments, Cli::command());
    }
    let environment = Environment::read()?;
    // Commands that only print a result do not log.
    if !matches!(command, Command::Token(_) | Command::Health | Command::Config(_)) {
        // Only the server commands have metrics and traces.
        let is_server = matches!(command, Command::Serve | Command::Dev(_));
        let traces = if is_server { TraceSettings::read(&environment)? } else { None };
        if is_server {
            telemetry::metrics::install();
        }
        telemetry::install(&LogSettings::read(&environment)?, traces.as_ref())?;
    }
    match command {
        Command::Dev(arguments) => block_on(dev::run(&environment, &arguments)),
        Command::Serve => block_on(serve::run(&environment)),
        Command::Migrate => block_on(migrate::run(&environment)),
        Command::Distribute(arguments) => block_on(distribute::run(&environment, arguments)),
        Command::Health => health::run(&environment),
        Command::Token(arguments) => token::run(&environment, &arguments),
        Command::Client(command) => block_on(client::run(&environment, &command)),
        Command::Account(command) => block_on(account::run(&environment, &command)),
        Command::Import(arguments) => block_on(import::run(&environment, &arguments)),
        Command::Export(arguments) => block_on(export::run(&environment, &arguments)),
        Command::Config(command) => config::run(&environment, &command),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
    }
}

/// Runs a command to its end on a new Tokio runtime.
fn block_on(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| CliError::Other(format!("could not start the runtime: {error}")))?;
    let result = runtime.block_on(command);
    // Dropping the runtime would wait for blocking background tasks.
    runtime.shutdown_background();
    result
}
