//! Opens the database of a command.

use super::error::CliError;
use crate::config::{DatabaseSettings, Environment};
use crate::repository::{Repository, StorageError};

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
