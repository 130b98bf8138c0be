//! The reasons for which tokens are rejected: as text for the log and the caller, and as a fixed set for metrics.

use jsonwebtoken::errors::{Error, ErrorKind};

/// The error for a token that is not valid.
///
/// The text is for the log and for the caller. It contains no part of the token, except the time of its expiry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidToken {
    reason: RejectReason,
    message: String,
}

impl InvalidToken {
    pub(super) fn new(reason: RejectReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Returns the reason, which names the part of the token that is not valid.
    #[must_use]
    pub fn reason(&self) -> RejectReason {
        self.reason
    }
}

/// The reason for which a token is rejected, used as a metric label: the part of the token that is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// The token is not a well-formed JWT.
    Malformed,
    /// No configured key has the algorithm and the `kid` of the token.
    NoMatchingKey,
    /// The signature does not match.
    Signature,
    /// `exp` is in the past.
    Expired,
    /// `nbf` is in the future.
    NotYetValid,
    /// `iss` is missing or is not the configured issuer.
    Issuer,
    /// `aud` is missing or does not contain the configured audience.
    Audience,
    /// Another claim is missing or malformed.
    Claims,
}

impl RejectReason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::NoMatchingKey,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::Claims,
    ];

    /// Returns the value of the metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoMatchingKey => "key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
        }
    }
}

impl From<Error> for InvalidToken {
    fn from(error: Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::InvalidSignature => RejectReason::Signature,
            ErrorKind::ExpiredSignature => RejectReason::Expired,
            ErrorKind::ImmatureSignature => RejectReason::NotYetValid,
            ErrorKind::InvalidIssuer => RejectReason::Issuer,
            ErrorKind::InvalidAudience => RejectReason::Audience,
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
                RejectReason::NoMatchingKey
            }
            ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => RejectReason::Issuer,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => RejectReason::Audience,
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => RejectReason::Claims,
            _ => RejectReason::Malformed,
        };
        Self::new(reason, describe_error(&error))
    }
}

/// Returns the text for the log and the caller. The messages of the parsers are replaced, because they can contain
/// parts of the token.
fn describe_error(error: &Error) -> String {
    match error.kind() {
        ErrorKind::InvalidSignature => "the signature does not match".to_owned(),
        ErrorKind::ExpiredSignature => "the token has expired (`exp`)".to_owned(),
        ErrorKind::ImmatureSignature => "the token is not valid yet (`nbf`)".to_owned(),
        ErrorKind::InvalidIssuer => "`iss` is not the value of JWT_ISSUER".to_owned(),
        ErrorKind::InvalidAudience => "`aud` does not contain the value of JWT_AUDIENCE".to_owned(),
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            "the algorithm is not supported".to_owned()
        }
        ErrorKind::MissingRequiredClaim(claim) => format!("the claim `{claim}` is missing"),
        ErrorKind::InvalidClaimFormat(claim) => format!("the claim `{claim}` is malformed"),
        ErrorKind::InvalidToken => "the token does not have three parts".to_owned(),
        ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::Base64(_) => {
            "the token is not base64url-encoded JSON".to_owned()
        }
        _ => error.to_string(),
    }
}
