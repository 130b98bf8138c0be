//! Remembers tokens that were found good, until they expire: callers send the same one again and again, and looking one
//! up costs a tenth of verifying it.

use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use moka::sync::Cache;

use super::identity::Identity;
use super::jwk::SetKey;
use super::verify::LEEWAY;

/// How many bytes of tokens are remembered.
const CAPACITY: u64 = 4 * 1024 * 1024;

/// Tokens that were found good, by all their bytes.
pub(super) struct GoodTokens(Cache<Arc<str>, Good>);

#[derive(Clone)]
struct Good {
    identity: Identity,
    /// `exp`, in seconds.
    expires: f64,
    /// The key of the set that verified it. It is gone when it is no longer in the set, and then its tokens are no
    /// longer good. `None`: a key of the settings, which don't change.
    key: Option<Weak<SetKey>>,
}

impl Good {
    fn is_still(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.expires > now - LEEWAY as f64 && self.key.as_ref().is_none_or(|key| key.strong_count() > 0)
    }
}

impl GoodTokens {
    pub(super) fn new() -> Self {
        let weigh = |token: &Arc<str>, _: &Good| u32::try_from(token.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().weigher(weigh).max_capacity(CAPACITY).build())
    }

    /// Whom this token speaks for, if it was found good and still is.
    pub(super) fn get(&self, token: &str) -> Option<Identity> {
        self.0.get(token).filter(Good::is_still).map(|good| good.identity)
    }

    pub(super) fn remember(&self, token: &str, identity: &Identity, expires: f64, key: Option<&Arc<SetKey>>) {
        self.0.insert(token.into(), Good { identity: identity.clone(), expires, key: key.map(Arc::downgrade) });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::jwk::parse;
    use crate::auth::samples::KeyPair;

    #[test]
    fn a_token_is_good_until_it_expires() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let identity = Identity { account: None, actor: Some("u1".into()), scopes: None, client: None };
        let tokens = GoodTokens::new();
        tokens.remember("good", &identity, now + 60.0, None);
        tokens.remember("expired", &identity, now - 31.0, None);
        assert_eq!(tokens.get("good"), Some(identity));
        assert_eq!(tokens.get("expired"), None);
        assert_eq!(tokens.get("goo"), None);
    }

    #[test]
    fn a_token_is_no_better_than_its_key() {
        let identity = Identity { account: None, actor: None, scopes: None, client: None };
        let document = json!({"keys": [KeyPair::ed25519().jwk("k1")]}).to_string();
        let keys = parse(document.as_bytes(), None, &[]).expect("a key");
        let tokens = GoodTokens::new();
        tokens.remember("good", &identity, f64::MAX, keys.first());
        assert_eq!(tokens.get("good"), Some(identity));
        drop(keys);
        assert_eq!(tokens.get("good"), None);
    }
}
