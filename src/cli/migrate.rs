//! `contacts migrate`: applies pending migrations to the database schema.

use super::error::CliError;
use super::output::print;
use crate::config::{DatabaseSettings, Environment};
use crate::repository::Repository;

pub(super) async fn run(environment: &Environment) -> Result<(), CliError> {
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    let applied = repository.migrate().await;
    let applied = applied.map_err(|error| CliError::Other(format!("could not migrate the schema: {error}")))?;
    print(&format!("Applied {applied} migrations. The schema is up to date.\n"))
}
