//! Bearer tokens: what makes one good, whom it speaks for, and how our own are made (contract §3).
//!
//! Knows nothing of HTTP.

mod cache;
mod sign;
mod verify;

pub use sign::Signer;
pub use verify::{Identity, InvalidToken, Verifier};
