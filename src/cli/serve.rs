//! `contacts serve`: runs the service in production.

use std::time::Duration;

use super::error::CliError;
use super::{file_descriptors, run_server};
use crate::auth::{Signer, Verifier};
use crate::config::{Environment, ServeSettings};
use crate::http::App;
use crate::repository::{MigrationError, Repository};

const MIGRATION_RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(environment: &Environment) -> Result<(), CliError> {
    let mut settings = ServeSettings::read(environment)?;
    let connections = &mut settings.http.limits.connections;
    *connections = file_descriptors::limit_connections(*connections, settings.database.max_connections);
    let verifier = Verifier::new(&settings.tokens)?;
    let repository = Repository::new(&settings.database)?;
    let (listener, address) = run_server::bind("BIND_ADDR", settings.http.bind_addr).await?;
    let migration = migrate_with_retries(repository.clone(), settings.database.migrate_on_start);
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    let signer = Signer::for_clients(&settings.tokens);
    let app = App::new(repository, verifier, signer, settings.http);
    tokio::select! {
        served = run_server::serve_until_shutdown(app, listener) => served,
        error = migration => Err(error),
    }
}

/// Applies pending migrations if `migrate_on_start` is set. Retries every second until it succeeds, because the
/// database may not be up yet. Returns only when this build can never serve the database.
async fn migrate_with_retries(repository: Repository, migrate_on_start: bool) -> CliError {
    if !migrate_on_start {
        return std::future::pending().await;
    }
    loop {
        match repository.migrate().await {
            Ok(applied) => {
                tracing::info!(applied, "the schema is up to date");
                return std::future::pending().await;
            }
            Err(error @ MigrationError::OlderBuild) => return CliError::Other(error.to_string()),
            Err(error) => tracing::warn!(%error, "could not migrate the schema, retrying"),
        }
        tokio::time::sleep(MIGRATION_RETRY_INTERVAL).await;
    }
}
