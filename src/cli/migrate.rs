//! `contacts migrate`: brings the schema up to date.

use super::{CliError, print};
use crate::config::{DatabaseSettings, Environment};
use crate::repository::Repository;

pub(super) async fn run(environment: &Environment) -> Result<(), CliError> {
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    let applied = repository.migrate().await.map_err(|error| CliError::Other(format!("could not migrate: {error}")))?;
    print(&format!("{applied} migrations applied, the schema is up to date\n"))
}
