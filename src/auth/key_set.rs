//! The key set of the token issuer, cached and refreshed in the background (`docs/operations.md#key-sets`).
//!
//! Looking up a key takes no lock. A single task fetches the set, so at most one fetch runs at a time. If a fetch
//! fails, the current keys stay valid.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::jwk::{InvalidKeySet, PublishedKey, parse_key_set};
use super::key_set_source::{KeySetReadError, read_document, read_file};
use crate::config::{KeySetSource, SettingsError};

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
    /// The only algorithm whose keys are used. `None`: all supported algorithms.
    only_algorithm: Option<Algorithm>,
    keys: ArcSwap<Vec<Arc<PublishedKey>>>,
    refresh_state: watch::Sender<RefreshState>,
    /// One permit for each token that may wait for a fetch.
    waiting_tokens: Semaphore,
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
    pub(super) fn new(source: &KeySetSource, only_algorithm: Option<Algorithm>) -> Result<Self, SettingsError> {
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
            only_algorithm,
            keys: ArcSwap::from_pointee(keys),
            refresh_state: watch::Sender::new(RefreshState { is_fetching, last_triggered_at: None }),
            waiting_tokens: Semaphore::new(MAX_WAITING_TOKENS),
        })
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
        let (mut failures, mut delay) = (0_u32, REFRESH_INTERVAL);
        loop {
            let triggered = refresh_state.wait_for(|state| state.is_fetching);
            // Waits until the delay ends or a token triggers a fetch.
            let _ = tokio::time::timeout(delay, triggered).await.is_ok();
            self.refresh_state.send_modify(|state| state.is_fetching = true);
            failures = if self.refresh().await { 0 } else { failures.saturating_add(1) };
            self.refresh_state.send_modify(|state| state.is_fetching = false);
            delay = delay_after(failures);
        }
    }

    /// Fetches the set and replaces the keys. Returns whether the fetch succeeded. If it fails, the keys do not change.
    async fn refresh(&self) -> bool {
        match self.fetch().await {
            Ok(keys) => {
                let current = self.keys.load();
                let is_unchanged =
                    current.len() == keys.len() && current.iter().zip(&keys).all(|(a, b)| Arc::ptr_eq(a, b));
                if !is_unchanged {
                    tracing::info!(keys = keys.len(), "the key set has changed");
                    self.keys.store(Arc::new(keys));
                }
                true
            }
            Err(error) => {
                match self.keys.load().len() {
                    0 => tracing::warn!(
                        %error,
                        "could not read the key set; tokens signed with its keys are rejected until a fetch succeeds"
                    ),
                    keys => tracing::warn!(%error, keys, "could not read the key set; the current keys stay valid"),
                }
                false
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Arc<PublishedKey>>, RefreshError> {
        let document = read_document(&self.source).await?;
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
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::auth::fixtures::KeyPair;

    /// A key set in a file, with a task that refreshes it.
    struct KeySetFixture {
        folder: tempfile::TempDir,
        set: Arc<KeySet>,
    }

    impl KeySetFixture {
        fn with_keys(kids: &[&str]) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("keys.json");
            write_key_set(&path, kids);
            let set = Arc::new(KeySet::new(&KeySetSource::File(path), None).expect("keys"));
            let refreshed = Arc::clone(&set);
            tokio::spawn(async move { refreshed.run_refresh().await });
            Self { folder, set }
        }

        fn replace_keys(&self, kids: &[&str]) {
            write_key_set(&self.folder.path().join("keys.json"), kids);
        }

        fn has_key(&self, kid: &str) -> bool {
            self.set.find_key(Some(kid), Algorithm::EdDSA).is_some()
        }
    }

    fn write_key_set(path: &Path, kids: &[&str]) {
        let keys: Vec<_> = kids.iter().map(|kid| KeyPair::generate_ed25519().jwk(kid)).collect();
        std::fs::write(path, json!({"keys": keys}).to_string()).expect("a written file");
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_trigger_at_most_one_fetch_a_minute() {
        let fixture = KeySetFixture::with_keys(&["a"]);
        fixture.replace_keys(&["a", "b"]);
        assert!(fixture.set.refresh_for_unknown_key().await && fixture.has_key("b"));
        fixture.replace_keys(&["a", "b", "c"]);
        for _ in 0..59 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!fixture.set.refresh_for_unknown_key().await && !fixture.has_key("c"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(fixture.set.refresh_for_unknown_key().await && fixture.has_key("c"));
    }

    #[tokio::test(start_paused = true)]
    async fn at_most_32_tokens_wait_for_a_fetch() {
        // No task refreshes this set, so the fetch never ends.
        let url = KeySetSource::Url(crate::config::Secret::new("http://issuer.example/"));
        let set = Arc::new(KeySet::new(&url, None).expect("an empty set"));
        let started_at = Instant::now();
        let waiting: Vec<_> = (0..MAX_WAITING_TOKENS)
            .map(|_| {
                let set = Arc::clone(&set);
                tokio::spawn(async move { set.refresh_for_unknown_key().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(!set.refresh_for_unknown_key().await);
        assert_eq!(started_at.elapsed(), Duration::ZERO);
        for task in waiting {
            assert!(!task.await.expect("a result"));
        }
        assert!(started_at.elapsed() >= FETCH_WAIT_TIMEOUT);
        assert_eq!(set.waiting_tokens.available_permits(), MAX_WAITING_TOKENS);
    }

    #[tokio::test(start_paused = true)]
    async fn removed_key_stops_working_after_the_refresh_interval() {
        let fixture = KeySetFixture::with_keys(&["a", "b"]);
        fixture.replace_keys(&["b"]);
        tokio::time::sleep(REFRESH_INTERVAL.saturating_sub(Duration::from_secs(1))).await;
        assert!(fixture.has_key("a"));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!fixture.has_key("a") && fixture.has_key("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn failed_fetch_is_retried_after_a_second_and_the_current_keys_stay_valid() {
        let fixture = KeySetFixture::with_keys(&["a"]);
        fixture.replace_keys(&[]);
        assert!(fixture.set.refresh_for_unknown_key().await && fixture.has_key("a"), "the current keys were dropped");
        fixture.replace_keys(&["b"]);
        tokio::time::sleep(FIRST_RETRY_DELAY + Duration::from_millis(500)).await;
        assert!(fixture.has_key("b") && !fixture.has_key("a"));
    }

    #[test]
    fn retry_delay_doubles_up_to_a_minute() {
        let seconds: Vec<_> = (0..9).map(|failures| delay_after(failures).as_secs()).collect();
        assert_eq!(seconds, [300, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay_after(u32::MAX), MAX_RETRY_DELAY);
    }

    #[test]
    fn key_set_file_without_usable_keys_is_rejected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        let error = || KeySet::new(&KeySetSource::File(path.clone()), None).err().map(|error| error.to_string());
        assert!(error().is_some_and(|line| line.starts_with("JWT_JWKS_FILE ")));
        write_key_set(&path, &[]);
        assert!(error().is_some_and(|line| line.starts_with("JWT_JWKS_FILE ")));
        write_key_set(&path, &["a"]);
        assert_eq!(error(), None);
    }
}
