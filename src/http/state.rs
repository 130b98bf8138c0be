//! What the handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use uuid::Uuid;

use super::limits::Limits;
use super::meters::Meters;
use crate::auth::{Signer, Verifier};
use crate::config::HttpSettings;
use crate::fields::Registry;
use crate::repository::{Repository, StorageError};

/// The state of the service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    repository: Repository,
    verifier: Verifier,
    client_signer: Option<Signer>,
    settings: HttpSettings,
    limits: Limits,
    draining: AtomicBool,
    in_flight: AtomicUsize,
    meters: Meters,
}

impl App {
    /// The state of a service that has just started. Without a `client_signer` API clients get no tokens.
    #[must_use]
    pub fn new(
        repository: Repository,
        verifier: Verifier,
        client_signer: Option<Signer>,
        settings: HttpSettings,
    ) -> Self {
        let (draining, in_flight) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (limits, meters) = (Limits::new(&settings), Meters::new());
        Self(Arc::new(Inner { repository, verifier, client_signer, settings, limits, draining, in_flight, meters }))
    }

    /// The contacts and fields.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.0.repository
    }

    /// What tells good tokens.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    /// What signs the tokens of API clients, where they can get any.
    #[must_use]
    pub fn client_signer(&self) -> Option<&Signer> {
        self.0.client_signer.as_ref()
    }

    /// The server's settings.
    #[must_use]
    pub fn settings(&self) -> &HttpSettings {
        &self.0.settings
    }

    /// What it bears with at most, and how much of that is used up.
    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The fields of an account.
    pub(super) async fn registry(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        self.repository().registry(account).await
    }

    /// What it measures of its requests.
    pub(super) fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// From now on the service is about to stop: it says so at `/readyz`, and goes on answering.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the service is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// How many requests are being answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn enter(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }
}

/// A request that is being answered.
pub(super) struct InFlight(App);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
