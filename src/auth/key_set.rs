//! The key set of the token issuer, cached and refreshed in the background (`docs/operations.md#key-sets`).
//!
//! Looking up a key takes no lock. A single task fetches the set, so at most one fetch runs at a time. If a fetch
//! fails, the current keys stay valid. They end when every fetch has failed for `JWT_JWKS_MAX_STALE_MS`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::jwk::{InvalidKeySet, PublishedKey, parse_key_set};
use super::key_set_metrics;
use super::key_set_source::{KeySetReadError, read_document, read_file};
use crate::config::{KeySetSource, SettingsError, TokenSettings};

/// The interval between two fetches that no token triggers. A key that is removed from the set stops working within
/// this time.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The delay after the first failed fetch. It doubles with each further failure, up to [`MAX_RETRY_DELAY`].
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// Tokens with unknown keys trigger at most one fetch in this time.
const UNKNOWN_KEY_REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// How long a token with an unknown key waits for a fetch.
const FETCH_WAIT_TIMEOUT: Duration = Duration::from_secs(3);
/// How many tokens with unknown keys wait at once. Anyone can invent such tokens, and each waiting token occupies a
/// request.
const MAX_WAITING_TOKENS: usize = 32;

/// A key set that is refreshed in the background.
pub(super) struct KeySet {
    source: KeySetSource,
    /// Whether the set may be fetched over plain HTTP from other machines.
    allows_http: bool,
    /// How long the keys stay valid while every fetch fails.
    max_stale: Duration,
    /// The only algorithm whose keys are used. `None`: all supported algorithms.
    only_algorithm: Option<Algorithm>,
    keys: ArcSwap<Vec<Arc<PublishedKey>>>,
    freshness: Mutex<Freshness>,
    refresh_state: watch::Sender<RefreshState>,
    /// One permit for each token that may wait for a fetch.
    waiting_tokens: Semaphore,
}

/// When the set was last read, and for how long every attempt has failed.
#[derive(Clone, Copy)]
struct Freshness {
    /// The time of the last successful read, or of the start.
    read_at: Instant,
    /// The number of failed attempts since then.
    failures: u32,
    /// The time of the first of them.
    failing_since: Option<Instant>,
}

struct RefreshState {
    /// Whether a fetch runs or has been requested.
    is_fetching: bool,
    /// When a token last triggered a fetch.
    last_triggered_at: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Read(#[from] KeySetReadError),
    #[error(transparent)]
    InvalidKeySet(#[from] InvalidKeySet),
}

impl KeySet {
    /// Creates a key set from its source. The set of a URL is empty until [`Self::run_refresh`] has fetched it.
    ///
    /// # Errors
    /// Fails if the source is a file that cannot be read or contains no usable key.
    pub(super) fn new(
        source: &KeySetSource,
        settings: &TokenSettings,
        only_algorithm: Option<Algorithm>,
    ) -> Result<Self, SettingsError> {
        let (keys, is_fetching) = match source {
            KeySetSource::Url(_) => (vec![], true),
            KeySetSource::File(path) => {
                let document = read_file(path).map_err(RefreshError::from);
                let keys = document.and_then(|document| Ok(parse_key_set(&document, only_algorithm, &[])?));
                let invalid =
                    |error: RefreshError| SettingsError::new("JWT_JWKS_FILE", &format!("is not usable: {error}"));
                (keys.map_err(invalid)?, false)
            }
        };
        Ok(Self {
            source: source.clone(),
            allows_http: settings.key_set_allows_http,
            max_stale: settings.key_set_max_stale,
            freshness: Mutex::new(Freshness { read_at: Instant::now(), failures: 0, failing_since: None }),
            only_algorithm,
            keys: ArcSwap::from_pointee(keys),
            refresh_state: watch::Sender::new(RefreshState { is_fetching, last_triggered_at: None }),
            waiting_tokens: Semaphore::new(MAX_WAITING_TOKENS),
        })
    }

    /// Returns the time since the set was last read, or since the start if it never was.
    pub(super) fn age(&self) -> Duration {
        self.freshness().read_at.elapsed()
    }

    /// Returns the key with this id and algorithm. Without a `kid`, returns the only key of the algorithm, if there is
    /// exactly one.
    pub(super) fn find_key(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Arc<PublishedKey>> {
        let keys = self.keys.load();
        let mut candidates = keys.iter().filter(|key| key.key.algorithm == algorithm);
        match kid {
            Some(kid) => candidates.find(|key| key.kid.as_deref() == Some(kid)).cloned(),
            None => candidates.next().filter(|_| candidates.next().is_none()).cloned(),
        }
    }

    /// Returns whether the set can ever contain a key of this algorithm.
    pub(super) fn can_contain(&self, algorithm: Algorithm) -> bool {
        let is_public_key_algorithm = matches!(algorithm, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA);
        is_public_key_algorithm && self.only_algorithm.is_none_or(|only| only == algorithm)
    }

    /// Waits for a fetch, because a token names a key that the set does not contain.
    ///
    /// If a fetch is running, waits for it. Otherwise triggers a fetch, unless a token has triggered one within
    /// [`UNKNOWN_KEY_REFRESH_INTERVAL`]. Returns immediately when [`MAX_WAITING_TOKENS`] are waiting. Returns whether a
    /// fetch has ended during the wait.
    pub(super) async fn refresh_for_unknown_key(&self) -> bool {
        let Ok(_permit) = self.waiting_tokens.try_acquire() else { return false };
        let mut is_fetching = false;
        let mut refresh_state = self.refresh_state.subscribe();
        self.refresh_state.send_if_modified(|state| {
            let can_trigger = state.last_triggered_at.is_none_or(|time| time.elapsed() >= UNKNOWN_KEY_REFRESH_INTERVAL);
            let starts_fetch = !state.is_fetching && can_trigger;
            if starts_fetch {
                *state = RefreshState { is_fetching: true, last_triggered_at: Some(Instant::now()) };
            }
            is_fetching = state.is_fetching;
            starts_fetch
        });
        let fetched = refresh_state.wait_for(|state| !state.is_fetching);
        is_fetching && tokio::time::timeout(FETCH_WAIT_TIMEOUT, fetched).await.is_ok()
    }

    /// Refreshes the set for as long as the future is polled: periodically, and when a token triggers a fetch.
    pub(super) async fn run_refresh(&self) {
        let mut refresh_state = self.refresh_state.subscribe();
        let mut delay = REFRESH_INTERVAL;
        loop {
            let triggered = refresh_state.wait_for(|state| state.is_fetching);
            // Waits until the delay ends or a token triggers a fetch.
            let _ = tokio::time::timeout(delay, triggered).await.is_ok();
            self.refresh_state.send_modify(|state| state.is_fetching = true);
            self.refresh().await;
            self.refresh_state.send_modify(|state| state.is_fetching = false);
            delay = self.next_delay();
        }
    }

    /// Fetches the set and replaces the keys. If the fetch fails, the keys do not change, unless every fetch has failed
    /// for longer than the limit.
    async fn refresh(&self) {
        match self.fetch().await {
            Ok(keys) => {
                *self.lock_freshness() = Freshness { read_at: Instant::now(), failures: 0, failing_since: None };
                let current = self.keys.load();
                let is_unchanged =
                    current.len() == keys.len() && current.iter().zip(&keys).all(|(a, b)| Arc::ptr_eq(a, b));
                if !is_unchanged {
                    tracing::info!(keys = keys.len(), "the key set has changed");
                    self.keys.store(Arc::new(keys));
                }
            }
            Err(error) => self.record_failure(&error),
        }
    }

    /// Records a failed fetch. Removes the keys if every fetch has failed for longer than the limit: the issuer may
    /// have withdrawn them meanwhile.
    fn record_failure(&self, error: &RefreshError) {
        key_set_metrics::count_failure();
        let is_stale = {
            let mut freshness = self.lock_freshness();
            freshness.failures = freshness.failures.saturating_add(1);
            freshness.failing_since.get_or_insert_with(Instant::now).elapsed() >= self.max_stale
        };
        match self.keys.load().len() {
            0 => tracing::warn!(
                %error,
                "could not read the key set; tokens signed with its keys are rejected until a fetch succeeds"
            ),
            keys if is_stale => {
                tracing::error!(%error, keys, "could not read the key set for too long; its keys are removed");
                self.keys.store(Arc::default());
            }
            keys => tracing::warn!(%error, keys, "could not read the key set; the current keys stay valid"),
        }
    }

    /// Returns the delay before the next fetch. It ends when the keys become stale, so that they are removed in time.
    fn next_delay(&self) -> Duration {
        let Freshness { failures, failing_since, .. } = self.freshness();
        let until_stale = failing_since.filter(|_| !self.keys.load().is_empty()).map(|since| {
            let stale_at = since + self.max_stale;
            stale_at.saturating_duration_since(Instant::now())
        });
        let delay = delay_after(failures);
        until_stale.map_or(delay, |until_stale| delay.min(until_stale))
    }

    fn freshness(&self) -> Freshness {
        *self.lock_freshness()
    }

    fn lock_freshness(&self) -> MutexGuard<'_, Freshness> {
        self.freshness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Vec<Arc<PublishedKey>>, RefreshError> {
        let document = read_document(&self.source, self.allows_http).await?;
        Ok(parse_key_set(&document, self.only_algorithm, &self.keys.load())?)
    }
}

/// Returns the delay before the next fetch, after this many consecutive failures.
fn delay_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => REFRESH_INTERVAL,
        Some(earlier) => FIRST_RETRY_DELAY.saturating_mul(2_u32.saturating_pow(earlier)).min(MAX_RETRY_DELAY),
    }
}

#[cfg(test)]
mod tests;
