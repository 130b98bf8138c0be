//! The scope of each operation in the document, by the same rule that the service enforces.

use utoipa::openapi::RefOr;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::security::SecurityRequirement;

use super::operations::operations;
use super::responses;
use crate::http::error::ApiError;
use crate::http::required_scope;

/// Adds to each operation of a path the scope that it requires, and the 403 response to a token without this scope.
pub(super) fn add_required_scopes(item: &mut PathItem, path: &str) {
    for (method, operation) in operations(item) {
        let Some(needed) = required_scope::for_route(&method, path) else { continue };
        // An operation that also works without a token describes its security itself.
        let is_token_optional =
            operation.security.iter().flatten().any(|requirement| *requirement == SecurityRequirement::default());
        if !is_token_optional {
            operation.security = Some(vec![SecurityRequirement::new("bearer", [needed.as_str()])]);
        }
        let forbidden = responses::error_response(
            "The token's scopes do not cover this call",
            &[ApiError::InsufficientScope { needed }],
        );
        operation.responses.responses.insert("403".to_owned(), RefOr::T(forbidden));
    }
}
