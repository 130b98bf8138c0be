//! What an API client is: a program that gets its own tokens with an id and a secret (contract §6, "Client
//! credentials"), and what tokens may do (contract §6, "Scopes").
//!
//! Pure: no I/O but the system's randomness, no axum, no sqlx.

mod id;
mod name;
mod scope;
mod secret;

use chrono::{DateTime, Utc};

pub use id::ClientId;
pub use name::{InvalidName, Name};
pub use scope::{Scope, Scopes, UnknownScope};
pub use secret::{SecretHash, new_secret};

/// A client as its operator sees it: all but the secret, which nobody knows but the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id, which names its account too.
    pub id: ClientId,
    /// What people call it.
    pub name: String,
    /// What its tokens may do; `None`: everything.
    pub scopes: Option<Scopes>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it gets no tokens, and those it has are refused.
    pub revoked_at: Option<DateTime<Utc>>,
}
