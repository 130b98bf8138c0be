//! Opens the database of a command.

use std::time::Duration;

use uuid::Uuid;

use super::dev::{DEV_DATABASE, SAMPLE_ACCOUNT};
use super::error::CliError;
use crate::config::{DatabaseSettings, Environment, data_dir};
use crate::embedded::Cluster;
use crate::repository::{MigrationError, Repository, StorageError};

/// The time limit for a statement on the database of `contacts dev`.
const DEV_TIMEOUT: Duration = Duration::from_secs(30);

/// The database of a command, which may be the one of a running `contacts dev`.
pub(super) struct CommandDatabase {
    pub(super) repository: Repository,
    is_dev: bool,
}

impl CommandDatabase {
    /// Returns the account that the command works on: the argument, or the sample account of `contacts dev`.
    ///
    /// # Errors
    /// Fails without an argument on any other database.
    pub(super) fn account(&self, argument: Option<Uuid>) -> Result<Uuid, CliError> {
        match argument {
            Some(account) => Ok(account),
            None if self.is_dev => Ok(SAMPLE_ACCOUNT),
            None => Err(CliError::Other("--account UUID is required: choose the account to work on".to_owned())),
        }
    }
}

/// Opens the repository on the database at `DATABASE_URL`, which may be down. Without `DATABASE_URL`, opens the database of
/// the running `contacts dev`, and says so.
///
/// # Errors
/// Fails if a setting is malformed, if `DATABASE_URL` leads to a pooler in transaction mode, or if migrations are pending.
pub(super) async fn open_command_database(environment: &Environment) -> Result<CommandDatabase, CliError> {
    let is_dev = !DatabaseSettings::has_url(environment);
    let repository = if is_dev { open_dev_database(environment)? } else { open_repository(environment).await? };
    // While the database is down, the command itself says so.
    if let Ok(state) = repository.schema_state().await {
        if state.is_from_older_build {
            return Err(CliError::Other(MigrationError::OlderBuild.to_string()));
        }
        if state.pending > 0 {
            let pending = state.pending;
            let command = if is_dev { "start this version of `contacts dev`" } else { "run `contacts migrate`" };
            return Err(CliError::Other(format!("{pending} migrations of the database are pending: {command} first")));
        }
    }
    Ok(CommandDatabase { repository, is_dev })
}

/// Opens the database of the running `contacts dev`.
fn open_dev_database(environment: &Environment) -> Result<Repository, CliError> {
    let url = data_dir(environment).and_then(|folder| Cluster::running_url(&folder, DEV_DATABASE));
    // The error of the settings says that DATABASE_URL is missing.
    let Some(url) = url else {
        let missing = DatabaseSettings::read(environment).err().map(|error| error.to_string());
        let missing = missing.unwrap_or_else(|| "DATABASE_URL is not set".to_owned());
        return Err(CliError::Other(format!("{missing} (or start `contacts dev` to work on its database)")));
    };
    eprintln!("Using the dev database of the running `contacts dev`");
    Ok(Repository::new(&DatabaseSettings::for_dev(url, DEV_TIMEOUT))?)
}

/// Opens the repository on the database at `DATABASE_URL`, which may be down.
///
/// # Errors
/// Fails if a setting is malformed, or if `DATABASE_URL` leads to a pooler that cannot be used.
pub(super) async fn open_repository(environment: &Environment) -> Result<Repository, CliError> {
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    // While the database is down, the command itself says so.
    match repository.schema_state().await {
        Err(error @ StorageError::Pooler(_)) => Err(CliError::Other(error.to_string())),
        _ => Ok(repository),
    }
}
