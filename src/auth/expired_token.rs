//! The error for an expired token.

use chrono::{DateTime, SecondsFormat};
use jsonwebtoken::{Validation, decode};

use super::reject_reason::{InvalidToken, RejectReason};
use super::unique_members::UniqueMembers;
use super::verification_key::VerificationKey;

/// Returns the error that names the expiry of an expired token. Returns `None` if the token has other problems too.
pub(super) fn expired_token(token: &str, key: &VerificationKey, validation: &Validation) -> Option<InvalidToken> {
    let mut validation = validation.clone();
    validation.validate_exp = false;
    let claims = decode::<UniqueMembers>(token, &key.key, &validation).ok()?.claims.0;
    let expired_at = DateTime::from_timestamp(claims.get("exp")?.as_f64()? as i64, 0)?;
    let expired_at = expired_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    Some(InvalidToken::new(RejectReason::Expired, format!("the token expired at {expired_at} (`exp`)")))
}
