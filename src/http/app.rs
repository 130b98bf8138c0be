//! The state that all handlers and middleware share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use uuid::Uuid;

use super::limits::Limits;
use super::metrics_text::MetricsText;
use super::readiness::DatabaseReadiness;
use super::request_metrics::RequestMetrics;
use crate::auth::{Signer, Verifier};
use crate::config::HttpSettings;
use crate::fields::Registry;
use crate::repository::{Repository, StorageError};

/// The state of a running service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<AppState>);

struct AppState {
    repository: Repository,
    verifier: Verifier,
    client_signer: Option<Signer>,
    settings: HttpSettings,
    limits: Limits,
    is_draining: watch::Sender<bool>,
    in_flight: AtomicUsize,
    metrics: RequestMetrics,
    metrics_text: MetricsText,
    database_readiness: DatabaseReadiness,
}

impl App {
    /// Creates the state of a service. Without a `client_signer`, API clients cannot get tokens.
    #[must_use]
    pub fn new(
        repository: Repository,
        verifier: Verifier,
        client_signer: Option<Signer>,
        settings: HttpSettings,
    ) -> Self {
        Self(Arc::new(AppState {
            repository,
            verifier,
            client_signer,
            limits: Limits::new(&settings),
            settings,
            is_draining: watch::Sender::new(false),
            in_flight: AtomicUsize::new(0),
            metrics: RequestMetrics::new(),
            metrics_text: MetricsText::default(),
            database_readiness: DatabaseReadiness::default(),
        }))
    }

    /// Returns the repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.0.repository
    }

    /// Returns the verifier of bearer tokens.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    /// Returns the signer of tokens for API clients. `None`: API clients cannot get tokens.
    #[must_use]
    pub fn client_signer(&self) -> Option<&Signer> {
        self.0.client_signer.as_ref()
    }

    /// Returns the settings of the server.
    #[must_use]
    pub fn settings(&self) -> &HttpSettings {
        &self.0.settings
    }

    /// Returns the limits and their current use.
    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Returns the fields of an account.
    pub(super) async fn registry(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        self.repository().registry(account).await
    }

    /// Returns the metrics of requests.
    pub(super) fn metrics(&self) -> &RequestMetrics {
        &self.0.metrics
    }

    /// Returns the text of `/metrics`.
    pub(super) fn metrics_text(&self) -> &MetricsText {
        &self.0.metrics_text
    }

    /// Returns whether the database is ready.
    pub(super) fn database_readiness(&self) -> &DatabaseReadiness {
        &self.0.database_readiness
    }

    /// Marks the service as shutting down. `/readyz` turns 503, and all other requests are still processed. Long polls return at once.
    pub fn drain(&self) {
        self.0.is_draining.send_replace(true);
    }

    /// Returns whether the service is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.0.is_draining.borrow()
    }

    /// Waits until the service is shutting down.
    pub(super) async fn wait_for_drain(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.is_draining.subscribe().wait_for(|is_draining| *is_draining).await;
    }

    /// Returns the number of requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(super) fn track_request(&self) -> InFlightRequest {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlightRequest(self.clone())
    }
}

/// A request that is counted as in flight.
pub(super) struct InFlightRequest(App);

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
