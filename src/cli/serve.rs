//! `contacts serve`: the production door.

use std::time::Duration;

use super::{CliError, listen};
use crate::auth::{Signer, Verifier};
use crate::config::{Environment, ServeSettings};
use crate::http::App;
use crate::repository::Repository;

const RETRY_MIGRATIONS_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn run(environment: &Environment) -> Result<(), CliError> {
    let settings = ServeSettings::read(environment)?;
    let verifier = Verifier::new(&settings.tokens)?;
    let repository = Repository::new(&settings.database)?;
    let (listener, address) = listen::bind("BIND_ADDR", settings.http.bind_addr).await?;
    if settings.database.migrate_on_start {
        tokio::spawn(migrate(repository.clone()));
    }
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    let signer = Signer::for_clients(&settings.tokens);
    listen::until_stopped(App::new(repository, verifier, signer, settings.http), listener).await
}

/// Applies pending migrations, as soon as the database is there.
async fn migrate(repository: Repository) {
    loop {
        match repository.migrate().await {
            Ok(applied) => return tracing::info!(applied, "the schema is up to date"),
            Err(error) => tracing::warn!(%error, "could not migrate yet"),
        }
        tokio::time::sleep(RETRY_MIGRATIONS_AFTER).await;
    }
}
