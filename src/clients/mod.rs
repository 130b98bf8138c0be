//! API clients, which are programs that get their own tokens with an id and a secret
//! (`docs/api-reference.md#client-credentials`), and the scopes of tokens (`docs/api-reference.md#scopes`).
//!
//! The only I/O is reading randomness from the operating system. This module uses neither axum nor sqlx.

mod client;
mod id;
mod name;
mod scope;
mod secret;

pub use client::Client;
pub use id::ClientId;
pub use name::{ClientName, InvalidClientName};
pub use scope::{Scope, Scopes, UnknownScope};
pub use secret::{SecretHash, generate_secret};
