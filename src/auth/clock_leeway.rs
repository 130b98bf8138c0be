//! The tolerance for clock differences between token issuers and this service
//! (`docs/api-reference.md#authentication`).

/// The leeway for `exp` and `nbf`, in seconds.
pub(super) const LEEWAY_SECONDS: u64 = 30;
