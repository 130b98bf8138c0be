//! The errors of the API (`docs/api-reference.md#errors`): their status, code, message and details.

mod api_error;
mod body;
mod conversions;

pub(super) use api_error::{ACCEPT_PATCH, ApiError, Duplicate};
pub(super) use body::Problem;
