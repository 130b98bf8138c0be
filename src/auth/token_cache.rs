//! A cache of verified tokens. Callers send the same token many times, and a lookup costs a tenth of a verification.

use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use moka::sync::Cache;

use super::clock_leeway::LEEWAY_SECONDS;
use super::identity::Identity;
use super::jwk::PublishedKey;

/// The total size of the cached tokens, in bytes.
const CAPACITY_BYTES: u64 = 4 * 1024 * 1024;

/// The identities of verified tokens. The cache key is the whole token.
pub(super) struct VerifiedTokenCache(Cache<Arc<str>, CachedIdentity>);

#[derive(Clone)]
struct CachedIdentity {
    identity: Identity,
    /// `exp`, in seconds since the Unix epoch.
    expires_at: f64,
    /// The key of the key set that verified the token. When the key is removed from the set, the reference dangles and
    /// the token is no longer valid. `None` if a key of the settings verified the token: the settings do not change.
    key: Option<Weak<PublishedKey>>,
}

impl CachedIdentity {
    fn is_valid(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.expires_at > now - LEEWAY_SECONDS as f64 && self.key.as_ref().is_none_or(|key| key.strong_count() > 0)
    }
}

impl VerifiedTokenCache {
    pub(super) fn new() -> Self {
        let weigh = |token: &Arc<str>, _: &CachedIdentity| u32::try_from(token.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().weigher(weigh).max_capacity(CAPACITY_BYTES).build())
    }

    /// Returns the identity of a token that was verified before and is still valid.
    pub(super) fn get(&self, token: &str) -> Option<Identity> {
        self.0.get(token).filter(CachedIdentity::is_valid).map(|cached| cached.identity)
    }

    /// Stores a verified token. `expires_at` is its `exp`; `key` is the key of the key set that verified it.
    pub(super) fn insert(&self, token: &str, identity: &Identity, expires_at: f64, key: Option<&Arc<PublishedKey>>) {
        let cached = CachedIdentity { identity: identity.clone(), expires_at, key: key.map(Arc::downgrade) };
        self.0.insert(token.into(), cached);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::fixtures::KeyPair;
    use crate::auth::jwk::parse_key_set;

    #[test]
    fn cached_token_is_valid_until_it_expires() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let identity =
            Identity { account: None, actor: Some("u1".into()), scopes: None, client: None, expires_at: None };
        let tokens = VerifiedTokenCache::new();
        tokens.insert("good", &identity, now + 60.0, None);
        tokens.insert("expired", &identity, now - 31.0, None);
        assert_eq!(tokens.get("good"), Some(identity));
        assert_eq!(tokens.get("expired"), None);
        assert_eq!(tokens.get("goo"), None);
    }

    #[test]
    fn cached_token_is_invalid_once_its_key_is_removed() {
        let identity = Identity { account: None, actor: None, scopes: None, client: None, expires_at: None };
        let document = json!({"keys": [KeyPair::generate_ed25519().jwk("k1")]}).to_string();
        let keys = parse_key_set(document.as_bytes(), None, &[]).expect("a key");
        let tokens = VerifiedTokenCache::new();
        tokens.insert("good", &identity, f64::MAX, keys.first());
        assert_eq!(tokens.get("good"), Some(identity));
        drop(keys);
        assert_eq!(tokens.get("good"), None);
    }
}
