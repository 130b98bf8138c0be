//! Bearer tokens: what makes one good, whose keys verify it, whom it speaks for, and how our own are made (contract §3).
//!
//! Knows nothing of HTTP.

mod cache;
mod flaw;
mod identity;
mod jwk;
mod key;
mod key_set;
mod members;
#[cfg(test)]
mod samples;
mod sign;
mod source;
mod verify;

pub use flaw::{Flaw, InvalidToken};
pub use identity::Identity;
pub use sign::{CLIENT_TOKEN_LIFE, Signer};
pub use verify::Verifier;
