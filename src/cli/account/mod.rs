//! `contacts account`: exports all data of an account, and removes it for good.

mod export;
mod purge;

use clap::Subcommand;
use uuid::Uuid;

use super::error::CliError;
use super::open_repository::open_repository;
use crate::config::Environment;

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Write all data of an account to standard output, one JSON object a line: its fields, API clients (without
    /// secrets), contacts and change feed
    Export {
        /// Account id
        #[arg(value_name = "UUID")]
        account: Uuid,
    },
    /// Remove an account with all its data for good
    Purge {
        /// Account id
        #[arg(value_name = "UUID")]
        account: Uuid,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(environment: &Environment, command: &AccountCommand) -> Result<(), CliError> {
    let repository = open_repository(environment).await?;
    match command {
        AccountCommand::Export { account } => export::run(&repository, *account).await,
        AccountCommand::Purge { account, yes } => purge::run(&repository, *account, *yes).await,
    }
}
