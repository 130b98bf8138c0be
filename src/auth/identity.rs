//! Whom a token speaks for, and what it may do: what its claims mean (contract §3, and §6 "Scopes").

use serde_json::{Map, Value};
use uuid::Uuid;

use super::flaw::{Flaw, InvalidToken};
use crate::clients::{ClientId, Scopes};

/// The claim that names the client of a token that was made by [`Signer::sign_for_client`](super::Signer).
pub(super) const CLIENT_CLAIM: &str = "client_id";
/// The claim that limits what a token may do.
pub(super) const SCOPE_CLAIM: &str = "scope";

/// Whom a good token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account; `None` when the token names none.
    pub account: Option<Uuid>,
    /// `sub`: a user or an API client.
    pub actor: Option<String>,
    /// What it may do; `None`: everything.
    pub scopes: Option<Scopes>,
    /// The client of ours that it was made for, which may have been revoked since.
    pub client: Option<ClientId>,
}

impl Identity {
    /// What the claims of a token say, whose signature and times are good.
    ///
    /// # Errors
    /// A subject that can't be recorded.
    pub(super) fn of_claims(claims: &Map<String, Value>, account_claim: &str) -> Result<Self, InvalidToken> {
        Ok(Self {
            account: claims.get(account_claim).and_then(Value::as_str).and_then(parse_account),
            actor: actor(claims.get("sub"))?,
            scopes: claims.get(SCOPE_CLAIM).map(scopes),
            // Other issuers use this claim too, for ids of another form.
            client: claims.get(CLIENT_CLAIM).and_then(Value::as_str).and_then(ClientId::parse),
        })
    }
}

/// The account's id: a UUID in the 8-4-4-4-12 form.
fn parse_account(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// Who acts. A subject that can't be recorded is refused rather than forgotten.
fn actor(subject: Option<&Value>) -> Result<Option<String>, InvalidToken> {
    match subject {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(actor)) if actor.is_empty() => Ok(None),
        Some(Value::String(actor)) if !actor.contains('\0') => Ok(Some(actor.clone())),
        Some(_) => Err(InvalidToken(Flaw::Claims, "its subject can't be recorded".to_owned())),
    }
}

/// What the claim grants. One that is no string, null included, was meant to limit the token in some way that is not
/// understood here: it grants nothing.
fn scopes(claim: &Value) -> Scopes {
    claim.as_str().map(Scopes::of_claim).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clients::Scope;

    fn identity(claims: Value) -> Identity {
        let Value::Object(claims) = claims else { panic!("an object") };
        Identity::of_claims(&claims, "account_id").expect("good claims")
    }

    #[test]
    fn is_limited_by_a_scope_only() {
        let scopes = |claim: Value| identity(json!({"scope": claim})).scopes;
        assert_eq!(identity(json!({})).scopes, None);
        assert_eq!(scopes(json!("contacts:read openid")), Some(Scopes::from_iter([Scope::ContactsRead])));
        for nothing in [json!(""), json!("admin"), json!(null), json!(["contacts:read"]), json!(true), json!({})] {
            assert_eq!(scopes(nothing.clone()), Some(Scopes::default()), "{nothing}");
        }
    }

    #[test]
    fn knows_the_clients_that_we_made() {
        let id = ClientId::new(Uuid::now_v7());
        assert_eq!(identity(json!({"client_id": id.to_string()})).client, Some(id));
        for other in [json!("web-app"), json!(null), json!(7), json!("client_")] {
            assert_eq!(identity(json!({"client_id": other, "sub": id.to_string()})).client, None, "{other}");
        }
    }
}
