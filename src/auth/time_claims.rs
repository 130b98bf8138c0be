//! The errors for tokens outside their time of validity. They name the time, in ISO 8601.

use chrono::{DateTime, SecondsFormat};
use jsonwebtoken::{Validation, decode};

use super::reject_reason::{InvalidToken, RejectReason};
use super::unique_members::UniqueMembers;
use super::verification_key::VerificationKey;

/// Returns the error for a token that has expired. Returns `None` if `key` does not verify the token.
pub(super) fn expired_token(token: &str, key: &VerificationKey) -> Option<InvalidToken> {
    let expired_at = read_time(token, key, "exp")?;
    Some(InvalidToken::new(RejectReason::Expired, format!("the token expired at {expired_at} (`exp`)")))
}

/// Returns the error for a token that is not valid yet. Returns `None` if `key` does not verify the token.
pub(super) fn immature_token(token: &str, key: &VerificationKey) -> Option<InvalidToken> {
    let valid_from = read_time(token, key, "nbf")?;
    Some(InvalidToken::new(RejectReason::NotYetValid, format!("the token is not valid before {valid_from} (`nbf`)")))
}

/// Returns the time in a claim, if the signature of the token is valid. Checks no other claim.
fn read_time(token: &str, key: &VerificationKey, claim: &str) -> Option<String> {
    let mut validation = Validation::new(key.algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = decode::<UniqueMembers>(token, &key.key, &validation).ok()?.claims.0;
    let time = DateTime::from_timestamp(claims.get(claim)?.as_f64()? as i64, 0)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}
