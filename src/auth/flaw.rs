//! What can be wrong with a token: in words for the log, and as one of a few for counting.

use jsonwebtoken::errors::{Error, ErrorKind};

/// Why a token is not good. For the log; callers learn only that it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{1}")]
pub struct InvalidToken(pub(super) Flaw, pub(super) String);

impl InvalidToken {
    /// Which part of it is at fault.
    #[must_use]
    pub fn flaw(&self) -> Flaw {
        self.0
    }
}

/// Which part of a token is at fault: few and fixed, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its form.
    Malformed,
    /// No key of ours verifies tokens like it.
    Key,
    /// Its signature.
    Signature,
    /// `exp` is over.
    Expired,
    /// `nbf` is to come.
    NotYetValid,
    /// `iss`
    Issuer,
    /// `aud`
    Audience,
    /// Another of its claims, missing or malformed.
    Claims,
}

impl Flaw {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::Key,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::Claims,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Key => "key",
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
        let flaw = match error.kind() {
            ErrorKind::InvalidSignature => Flaw::Signature,
            ErrorKind::ExpiredSignature => Flaw::Expired,
            ErrorKind::ImmatureSignature => Flaw::NotYetValid,
            ErrorKind::InvalidIssuer => Flaw::Issuer,
            ErrorKind::InvalidAudience => Flaw::Audience,
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
                Flaw::Key
            }
            ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => Flaw::Issuer,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Flaw::Audience,
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Flaw::Claims,
            _ => Flaw::Malformed,
        };
        // What the parsers say quotes the token.
        let reason = match error.kind() {
            ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::Base64(_) => "it is no JSON in base64".to_owned(),
            _ => error.to_string(),
        };
        Self(flaw, reason)
    }
}
