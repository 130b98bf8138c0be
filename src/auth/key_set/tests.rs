//! Tests of the refreshing of a key set.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::auth::fixtures::KeyPair;
use crate::config::Secret;

/// A key set in a file, with a task that refreshes it.
struct KeySetFixture {
    folder: tempfile::TempDir,
    set: Arc<KeySet>,
}

impl KeySetFixture {
    fn with_keys(kids: &[&str]) -> Self {
        Self::with_max_stale(kids, Duration::from_secs(24 * 60 * 60))
    }

    fn with_max_stale(kids: &[&str], key_set_max_stale: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        write_key_set(&path, kids);
        let settings = TokenSettings { key_set_max_stale, ..settings() };
        let set = Arc::new(KeySet::new(&KeySetSource::File(path), &settings, None).expect("keys"));
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

fn settings() -> TokenSettings {
    TokenSettings::with_secret(Secret::new("0123456789abcdef0123456789abcdef"))
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
    let url = KeySetSource::Url(Secret::new("http://issuer.example/"));
    let set = Arc::new(KeySet::new(&url, &settings(), None).expect("an empty set"));
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
    let error =
        || KeySet::new(&KeySetSource::File(path.clone()), &settings(), None).err().map(|error| error.to_string());
    assert!(error().is_some_and(|line| line.starts_with("JWT_JWKS_FILE ")));
    write_key_set(&path, &[]);
    assert!(error().is_some_and(|line| line.starts_with("JWT_JWKS_FILE ")));
    write_key_set(&path, &["a"]);
    assert_eq!(error(), None);
}

#[tokio::test(start_paused = true)]
async fn keys_end_when_every_fetch_has_failed_for_the_limit_and_return_with_a_successful_fetch() {
    // Between two delays of the retries, which double.
    let fixture = KeySetFixture::with_max_stale(&["a"], Duration::from_secs(20));
    fixture.replace_keys(&[]);
    assert!(fixture.set.refresh_for_unknown_key().await && fixture.has_key("a"));
    let key = Arc::downgrade(&fixture.set.find_key(Some("a"), Algorithm::EdDSA).expect("a key"));
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert!(fixture.has_key("a") && fixture.set.age() >= Duration::from_secs(19));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!fixture.has_key("a"), "the keys are stale");
    assert_eq!(key.strong_count(), 0, "tokens that the key verified are still cached");
    fixture.replace_keys(&["b"]);
    tokio::time::sleep(MAX_RETRY_DELAY).await;
    assert!(fixture.has_key("b") && fixture.set.age() <= MAX_RETRY_DELAY);
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_source_that_does_not_fail_never_end() {
    let fixture = KeySetFixture::with_max_stale(&["a"], Duration::from_millis(1));
    for _ in 0..1_000 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(fixture.has_key("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn successful_fetch_between_failures_restarts_the_limit() {
    let fixture = KeySetFixture::with_max_stale(&["a"], Duration::from_secs(20));
    for _ in 0..5 {
        std::fs::write(fixture.folder.path().join("keys.json"), "{}").expect("a written file");
        while fixture.set.age() < REFRESH_INTERVAL + Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        fixture.replace_keys(&["a"]);
        while fixture.set.age() > REFRESH_INTERVAL {
            assert!(fixture.has_key("a"));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(fixture.has_key("a"));
    }
}
