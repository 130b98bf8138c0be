//! Remembers tokens that were found good, until they expire: callers send the same one again and again, and looking one
//! up costs a tenth of verifying it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use moka::sync::Cache;

use super::identity::Identity;
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
}

impl GoodTokens {
    pub(super) fn new() -> Self {
        let weigh = |token: &Arc<str>, _: &Good| u32::try_from(token.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().weigher(weigh).max_capacity(CAPACITY).build())
    }

    /// Whom this token speaks for, if it was found good and still is.
    pub(super) fn get(&self, token: &str) -> Option<Identity> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.0.get(token).filter(|good| good.expires > now - LEEWAY as f64).map(|good| good.identity)
    }

    pub(super) fn remember(&self, token: &str, identity: &Identity, expires: f64) {
        self.0.insert(token.into(), Good { identity: identity.clone(), expires });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_it_expires() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let identity = Identity { account: None, actor: Some("u1".into()), scopes: None, client: None };
        let tokens = GoodTokens::new();
        tokens.remember("good", &identity, now + 60.0);
        tokens.remember("expired", &identity, now - 31.0);
        assert_eq!(tokens.get("good"), Some(identity));
        assert_eq!(tokens.get("expired"), None);
        assert_eq!(tokens.get("goo"), None);
    }
}
