//! Which scope each operation needs, in the document: told by the rule that the service itself goes by.

use axum::http::Method;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::security::SecurityRequirement;

use super::responses;
use crate::http::error::ApiError;
use crate::http::scope;

/// Adds to the operations of a path the scope they need, and the answer to a token without it.
pub(super) fn describe(item: &mut PathItem, path: &str) {
    let operations = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    for (method, operation) in operations {
        let Some((operation, needed)) = operation.as_mut().zip(scope::needed(&method, path)) else { continue };
        // Where no token is needed, the operation says itself what one does.
        if !operation.security.iter().flatten().any(|requirement| *requirement == SecurityRequirement::default()) {
            operation.security = Some(vec![SecurityRequirement::new("bearer", [needed.as_str()])]);
        }
        let refusal =
            responses::error("The token's scope does not cover this", &[ApiError::InsufficientScope { needed }]);
        operation.responses.responses.insert("403".to_owned(), RefOr::T(refusal));
    }
}
