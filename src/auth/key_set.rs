//! The keys of whoever signs the tokens, kept at hand and up to date (contract §3).
//!
//! Looking a key up takes no lock. One task alone fetches, so there is never more than one fetch at a time. Whatever the
//! source does, the keys it gave last go on working.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::jwk::{NoKeys, SetKey, parse};
use super::source::{Source, Unreachable, read_file};
use crate::config::{KeySetSource, SettingsError, problem};

/// How often a source is looked at that nobody asks for new keys: a key that was taken out ends after that.
const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);
/// When a source that failed is looked at again: this long after the first failure, twice as long after each other.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(60);
/// Unknown keys cause at most one fetch in this time.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long a token with an unknown key waits for a fetch.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many such tokens wait at once. Anyone can make them up, and each that waits is a request being worked on.
const MAX_WAITING: usize = 32;

/// A set of keys that is kept up to date.
pub(super) struct KeySet {
    source: Source,
    /// The only algorithm whose keys are taken.
    only: Option<Algorithm>,
    keys: ArcSwap<Vec<Arc<SetKey>>>,
    progress: watch::Sender<Progress>,
    /// Places for tokens that wait for a fetch.
    waiting: Semaphore,
}

struct Progress {
    /// Whether a fetch is under way, or about to be.
    is_fetching: bool,
    /// When a token last caused a fetch.
    asked_at: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
}

impl KeySet {
    /// A set from this source. That of a URL is empty until [`Self::keep_fresh`] has fetched it.
    ///
    /// # Errors
    /// A file that can't be read or holds no usable key: it is as wrong as a malformed key.
    pub(super) fn new(settings: &KeySetSource, only: Option<Algorithm>) -> Result<Self, SettingsError> {
        let (keys, is_fetching) = match settings {
            KeySetSource::Url(_) => (vec![], true),
            KeySetSource::File(path) => {
                let read = read_file(path).map_err(Failure::from);
                let keys = read.and_then(|document| Ok(parse(&document, only, &[])?));
                let refused = |failure| problem("JWT_JWKS_FILE", &format!("is no set of public keys: {failure}"));
                (keys.map_err(refused)?, false)
            }
        };
        Ok(Self {
            source: Source::new(settings),
            only,
            keys: ArcSwap::from_pointee(keys),
            progress: watch::Sender::new(Progress { is_fetching, asked_at: None }),
            waiting: Semaphore::new(MAX_WAITING),
        })
    }

    /// The key of this name and algorithm. A token that names none means the only key of its algorithm, where there is
    /// only one.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Arc<SetKey>> {
        let keys = self.keys.load();
        let mut of_algorithm = keys.iter().filter(|key| key.key.algorithm == algorithm);
        match kid {
            Some(kid) => of_algorithm.find(|key| key.kid.as_deref() == Some(kid)).cloned(),
            None => of_algorithm.next().filter(|_| of_algorithm.next().is_none()).cloned(),
        }
    }

    /// Whether a key of this algorithm can be in the set at all.
    pub(super) fn may_hold(&self, algorithm: Algorithm) -> bool {
        let is_of_public_keys = matches!(algorithm, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA);
        is_of_public_keys && self.only.is_none_or(|only| only == algorithm)
    }

    /// A token has named a key that is not in the set: waits for a fetch that may bring it. That is one under way, or
    /// else a new one, if no token has caused one lately. Returns whether it has waited for any; where too many wait
    /// already, it does not.
    pub(super) async fn look_again(&self) -> bool {
        let Ok(_place) = self.waiting.try_acquire() else { return false };
        let mut waits = false;
        let mut progress = self.progress.subscribe();
        self.progress.send_if_modified(|progress| {
            let may_ask = progress.asked_at.is_none_or(|asked_at| asked_at.elapsed() >= ASK_EVERY);
            let asks = !progress.is_fetching && may_ask;
            if asks {
                *progress = Progress { is_fetching: true, asked_at: Some(Instant::now()) };
            }
            waits = progress.is_fetching;
            asks
        });
        waits && tokio::time::timeout(PATIENCE, progress.wait_for(|progress| !progress.is_fetching)).await.is_ok()
    }

    /// Keeps the set up to date, for as long as it is polled.
    pub(super) async fn keep_fresh(&self) {
        let mut progress = self.progress.subscribe();
        let (mut failures, mut wait) = (0_u32, REFRESH_EVERY);
        loop {
            let is_asked = progress.wait_for(|progress| progress.is_fetching);
            // Time passes or a token asks: either is a reason.
            let _ = tokio::time::timeout(wait, is_asked).await.is_ok();
            self.progress.send_modify(|progress| progress.is_fetching = true);
            failures = if self.refresh().await { 0 } else { failures.saturating_add(1) };
            self.progress.send_modify(|progress| progress.is_fetching = false);
            wait = pause_after(failures);
        }
    }

    /// Fetches the set. Whether that succeeded; if not, the keys stay as they are.
    async fn refresh(&self) -> bool {
        match self.fetch().await {
            Ok(keys) => {
                let before = self.keys.load();
                let is_same = before.len() == keys.len() && before.iter().zip(&keys).all(|(a, b)| Arc::ptr_eq(a, b));
                if !is_same {
                    tracing::info!(keys = keys.len(), "the key set has changed");
                    self.keys.store(Arc::new(keys));
                }
                true
            }
            Err(failure) => {
                match self.keys.load().len() {
                    0 => {
                        tracing::warn!(%failure, "could not read the key set: tokens of its keys are refused till then");
                    }
                    keys => tracing::warn!(%failure, keys, "could not read the key set: its last keys go on working"),
                }
                false
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Arc<SetKey>>, Failure> {
        let document = self.source.read().await?;
        Ok(parse(&document, self.only, &self.keys.load())?)
    }
}

/// How long to wait for the next fetch after this many that failed, one after another.
fn pause_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => REFRESH_EVERY,
        Some(before) => RETRY_AFTER.saturating_mul(2_u32.saturating_pow(before)).min(RETRY_AFTER_AT_MOST),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::auth::samples::KeyPair;

    /// A set in a file, that is kept fresh.
    struct Sample {
        folder: tempfile::TempDir,
        set: Arc<KeySet>,
    }

    impl Sample {
        fn holding(kids: &[&str]) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("keys.json");
            write(&path, kids);
            let set = Arc::new(KeySet::new(&KeySetSource::File(path), None).expect("keys"));
            let fresh = Arc::clone(&set);
            tokio::spawn(async move { fresh.keep_fresh().await });
            Self { folder, set }
        }

        fn now_holds(&self, kids: &[&str]) {
            write(&self.folder.path().join("keys.json"), kids);
        }

        fn finds(&self, kid: &str) -> bool {
            self.set.find(Some(kid), Algorithm::EdDSA).is_some()
        }
    }

    fn write(path: &Path, kids: &[&str]) {
        let keys: Vec<_> = kids.iter().map(|kid| KeyPair::ed25519().jwk(kid)).collect();
        std::fs::write(path, json!({"keys": keys}).to_string()).expect("written");
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_cause_a_fetch_a_minute() {
        let sample = Sample::holding(&["a"]);
        sample.now_holds(&["a", "b"]);
        assert!(sample.set.look_again().await && sample.finds("b"));
        sample.now_holds(&["a", "b", "c"]);
        for _ in 0..59 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!sample.set.look_again().await && !sample.finds("c"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(sample.set.look_again().await && sample.finds("c"));
    }

    #[tokio::test(start_paused = true)]
    async fn few_tokens_wait_for_a_fetch() {
        // Nobody fetches it.
        let url = KeySetSource::Url(crate::config::Secret::new("http://issuer.example/"));
        let set = Arc::new(KeySet::new(&url, None).expect("an empty set"));
        let begun = Instant::now();
        let waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let set = Arc::clone(&set);
                tokio::spawn(async move { set.look_again().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(!set.look_again().await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for waits in waiting {
            assert!(!waits.await.expect("no panic"));
        }
        assert!(begun.elapsed() >= PATIENCE);
        assert_eq!(set.waiting.available_permits(), MAX_WAITING);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_taken_out_ends_without_being_asked_for() {
        let sample = Sample::holding(&["a", "b"]);
        sample.now_holds(&["b"]);
        tokio::time::sleep(REFRESH_EVERY.saturating_sub(Duration::from_secs(1))).await;
        assert!(sample.finds("a"));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!sample.finds("a") && sample.finds("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_failed_is_looked_at_again_soon() {
        let sample = Sample::holding(&["a"]);
        sample.now_holds(&[]);
        assert!(sample.set.look_again().await && sample.finds("a"), "the old keys are gone");
        sample.now_holds(&["b"]);
        tokio::time::sleep(RETRY_AFTER + Duration::from_millis(500)).await;
        assert!(sample.finds("b") && !sample.finds("a"));
    }

    #[test]
    fn waits_longer_after_each_failure() {
        let seconds: Vec<_> = (0..9).map(|failures| pause_after(failures).as_secs()).collect();
        assert_eq!(seconds, [300, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause_after(u32::MAX), RETRY_AFTER_AT_MOST);
    }

    #[test]
    fn refuses_a_file_that_holds_no_keys() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        let refused = || KeySet::new(&KeySetSource::File(path.clone()), None).err().map(|error| error.to_string());
        assert!(refused().is_some_and(|line| line.starts_with("JWT_JWKS_FILE ")));
        write(&path, &[]);
        assert!(refused().is_some_and(|line| line.starts_with("JWT_JWKS_FILE ")));
        write(&path, &["a"]);
        assert_eq!(refused(), None);
    }
}
