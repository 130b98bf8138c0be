//! An API client as operators see it.

use chrono::{DateTime, Utc};

use super::id::ClientId;
use super::scope::Scopes;

/// An API client, without its secret, which only the client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The id, which contains the account id.
    pub id: ClientId,
    /// The name that operators gave the client.
    pub name: String,
    /// The scopes of its tokens. `None` if they are not limited.
    pub scopes: Option<Scopes>,
    /// The time at which the client was created.
    pub created_at: DateTime<Utc>,
    /// The time at which the client was revoked. A revoked client gets no tokens, and its existing tokens are rejected.
    pub revoked_at: Option<DateTime<Utc>>,
}
