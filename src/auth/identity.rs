//! The identity and the permissions that the claims of a token express (`docs/api-reference.md#authentication` and
//! `docs/api-reference.md#scopes`).

use serde_json::{Map, Value};
use uuid::Uuid;

use super::reject_reason::{InvalidToken, RejectReason};
use crate::clients::{ClientId, Scopes};

/// The claim that holds the client id in tokens that this service issues to API clients.
pub(super) const CLIENT_CLAIM: &str = "client_id";
/// The claim that limits a token to scopes.
pub(super) const SCOPE_CLAIM: &str = "scope";

/// The caller that a valid token identifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account id. `None` if the account claim is missing or is not a UUID.
    pub account: Option<Uuid>,
    /// The `sub` claim: a user or an API client. `None` if it is missing, null or empty.
    pub actor: Option<String>,
    /// The scopes that limit the token. `None` if the token has no `scope` claim and may do everything.
    pub scopes: Option<Scopes>,
    /// The API client that this service issued the token to. The client may have been revoked since.
    pub client: Option<ClientId>,
}

impl Identity {
    /// Reads the identity from the claims of a token whose signature and times have been verified.
    ///
    /// # Errors
    /// Fails if the subject cannot be recorded.
    pub(super) fn from_claims(claims: &Map<String, Value>, account_claim: &str) -> Result<Self, InvalidToken> {
        Ok(Self {
            account: claims.get(account_claim).and_then(Value::as_str).and_then(parse_account),
            actor: parse_actor(claims.get("sub"))?,
            scopes: claims.get(SCOPE_CLAIM).map(parse_scopes),
            // Other issuers also use this claim, with ids in another format.
            client: claims.get(CLIENT_CLAIM).and_then(Value::as_str).and_then(ClientId::parse),
        })
    }
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

/// Reads the scopes. A claim that is not a string, null included, grants nothing: the issuer meant to limit the token
/// in a way that this service does not understand.
fn parse_scopes(claim: &Value) -> Scopes {
    claim.as_str().map(Scopes::from_claim).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clients::Scope;

    fn identity(claims: Value) -> Identity {
        let Value::Object(claims) = claims else { panic!("the claims are not an object") };
        Identity::from_claims(&claims, "account_id").expect("valid claims")
    }

    #[test]
    fn scope_claim_limits_the_token_and_no_claim_does_not() {
        let scopes = |claim: Value| identity(json!({"scope": claim})).scopes;
        assert_eq!(identity(json!({})).scopes, None);
        assert_eq!(scopes(json!("contacts:read openid")), Some(Scopes::from_iter([Scope::ContactsRead])));
        for without_scopes in [json!(""), json!("admin"), json!(null), json!(["contacts:read"]), json!(true), json!({})]
        {
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
