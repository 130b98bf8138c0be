//! The identity and the permissions that the claims of a token express (`docs/api-reference.md#authentication` and
//! `docs/api-reference.md#scopes`).

use chrono::{DateTime, Datelike, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::reject_reason::{InvalidToken, RejectReason};
use crate::clients::{ClientId, Scopes};
use crate::config::TokenSettings;

/// The claim that holds the client id in tokens that this service issues to API clients.
pub(super) const CLIENT_CLAIM: &str = "client_id";

/// The names of the claims that are configurable.
pub(super) struct ClaimNames {
    /// The claim that contains the account id.
    account: String,
    /// The claim that limits a token to scopes.
    scope: String,
}

impl From<&TokenSettings> for ClaimNames {
    fn from(settings: &TokenSettings) -> Self {
        Self { account: settings.account_claim.clone(), scope: settings.scope_claim.clone() }
    }
}

/// The caller that a valid token identifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account id. `None` if the account claim is missing or is not a UUID.
    pub account: Option<Uuid>,
    /// The `sub` claim: a user or an API client. `None` if it is missing, null or empty.
    pub actor: Option<String>,
    /// The scopes that limit the token. `None` if the token has no scope claim.
    pub scopes: Option<Scopes>,
    /// The API client that this service issued the token to. The client may have been revoked since.
    pub client: Option<ClientId>,
    /// The `exp` claim. `None` if it is later than any time that can be written in a response.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Identity {
    /// Reads the identity from the claims of a token whose signature and times have been verified.
    ///
    /// # Errors
    /// Fails if the subject cannot be recorded.
    pub(super) fn from_claims(claims: &Map<String, Value>, names: &ClaimNames) -> Result<Self, InvalidToken> {
        Ok(Self {
            account: claims.get(&names.account).and_then(Value::as_str).and_then(parse_account),
            actor: parse_actor(claims.get("sub"))?,
            scopes: claims.get(&names.scope).map(parse_scopes),
            // Other issuers also use this claim, with ids in another format.
            client: claims.get(CLIENT_CLAIM).and_then(Value::as_str).and_then(ClientId::parse),
            expires_at: claims.get("exp").and_then(Value::as_f64).and_then(parse_expiry),
        })
    }
}

/// Returns the time of an `exp` claim, in seconds since the Unix epoch, which may have a fraction.
fn parse_expiry(seconds: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis((seconds * 1_000.0) as i64).filter(|time| time.year() <= 9999)
}

/// Parses an account id: a UUID in the 8-4-4-4-12 form.
fn parse_account(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// Reads the actor. Rejects a subject that cannot be recorded, because ignoring it would leave the history without an
/// actor.
fn parse_actor(subject: Option<&Value>) -> Result<Option<String>, InvalidToken> {
    match subject {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(actor)) if actor.is_empty() => Ok(None),
        Some(Value::String(actor)) if !actor.contains('\0') => Ok(Some(actor.clone())),
        Some(_) => Err(InvalidToken::new(RejectReason::Claims, "`sub` must be a string without NUL characters")),
    }
}

/// Reads the scopes: a string of names separated by blanks, or an array with one name in each string. A claim of
/// another type, null included, grants nothing: the issuer meant to limit the token in a way that this service does not
/// understand.
fn parse_scopes(claim: &Value) -> Scopes {
    match claim {
        Value::String(names) => Scopes::from_claim(names),
        Value::Array(names) => {
            let names: Option<Vec<_>> = names.iter().map(Value::as_str).collect();
            names.map(Scopes::from_claim_names).unwrap_or_default()
        }
        _ => Scopes::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clients::Scope;

    fn identity(claims: Value) -> Identity {
        let Value::Object(claims) = claims else { panic!("the claims are not an object") };
        let names = ClaimNames { account: "account_id".to_owned(), scope: "scope".to_owned() };
        Identity::from_claims(&claims, &names).expect("valid claims")
    }

    #[test]
    fn scope_claim_limits_the_token_and_no_claim_does_not() {
        let scopes = |claim: Value| identity(json!({"scope": claim})).scopes;
        assert_eq!(identity(json!({})).scopes, None);
        assert_eq!(scopes(json!("contacts:read openid")), Some(Scopes::from_iter([Scope::ContactsRead])));
        assert_eq!(scopes(json!(["openid", "contacts:read"])), Some(Scopes::from_iter([Scope::ContactsRead])));
        for without_scopes in [
            json!(""),
            json!("admin"),
            json!(null),
            json!(true),
            json!(7),
            json!({"contacts:read": true}),
            json!([]),
            json!(["contacts:read contacts:write"]),
            json!(["contacts:read", 7]),
            json!([["contacts:read"]]),
        ] {
            assert_eq!(scopes(without_scopes.clone()), Some(Scopes::default()), "{without_scopes}");
        }
    }

    #[test]
    fn client_claim_is_used_only_if_it_is_an_id_of_this_service() {
        let id = ClientId::new(Uuid::now_v7());
        assert_eq!(identity(json!({"client_id": id.to_string()})).client, Some(id));
        for other in [json!("web-app"), json!(null), json!(7), json!("client_")] {
            assert_eq!(identity(json!({"client_id": other, "sub": id.to_string()})).client, None, "{other}");
        }
    }
}
