//! Opens the database of a command.

use super::error::CliError;
use crate::config::{DatabaseSettings, Environment};
use crate::repository::{MigrationError, Repository};

/// Opens the repository on the database at `DATABASE_URL`, which may be down.
///
/// # Errors
/// Fails if a setting is malformed, or if `DATABASE_URL` leads to a pooler in transaction mode.
pub(super) async fn open_repository(environment: &Environment) -> Result<Repository, CliError> {
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    // While the database is down, the command itself says so.
    match repository.has_transaction_pooler().await {
        Ok(true) => Err(CliError::Other(MigrationError::TransactionPooler.to_string())),
        Ok(false) | Err(_) => Ok(repository),
    }
}
