//! Bearer tokens: their verification keys, their validation, the identity that they carry, and the tokens that this
//! service issues itself (`docs/api-reference.md#authentication`).
//!
//! This module does not depend on HTTP types.

mod clock_leeway;
#[cfg(test)]
mod fixtures;
mod identity;
mod jwk;
mod key_set;
mod key_set_metrics;
mod key_set_source;
mod reject_reason;
mod sign;
mod time_claims;
mod token_cache;
mod token_header;
mod unique_members;
mod verification_key;
mod verify;

pub use identity::Identity;
pub use reject_reason::{InvalidToken, RejectReason};
pub use sign::{CLIENT_TOKEN_LIFETIME, Signer};
pub use verify::Verifier;
