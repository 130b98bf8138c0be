//! The scope that a call requires (`docs/api-reference.md#scopes`).

use axum::http::Method;

use crate::clients::Scope;

/// Returns the scope that a token needs for this method on this route, given as the route's template.
///
/// Returns `None` for routes that give access to neither contacts nor fields, such as `/me`. `/openapi.json` called with a token needs
/// `contacts:read`, because it then describes the account's custom fields.
///
/// Exceptions are listed, and a general rule covers all other routes, so that a new route that writes requires a write
/// scope by default. An exception applies to its own method only: `PATCH /contacts/search?id_property=…` updates the
/// contact that has the value `search`.
pub(super) fn for_route(method: &Method, route: &str) -> Option<Scope> {
    let segments: Vec<_> = route.split('/').skip(1).collect();
    match (method, &*segments) {
        (&Method::POST, ["contacts", "search"] | ["contacts", "batch", "read"]) => Some(Scope::ContactsRead),
        (&Method::POST, ["contacts", _, "purge"]) => Some(Scope::ContactsPurge),
        // GET and HEAD, and also OPTIONS and TRACE, which no handler of these routes receives.
        (method, ["contacts" | "fields" | "openapi.json", ..]) if method.is_safe() => Some(Scope::ContactsRead),
        (_, ["fields", ..]) => Some(Scope::FieldsWrite),
        (_, ["contacts", ..]) => Some(Scope::ContactsWrite),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("GET", "/contacts", "contacts:read")]
    #[case("HEAD", "/contacts/{contactId}", "contacts:read")]
    #[case("GET", "/contacts/changes", "contacts:read")]
    #[case("GET", "/contacts/{contactId}/history", "contacts:read")]
    #[case("GET", "/fields/{internalName}", "contacts:read")]
    #[case("POST", "/contacts/search", "contacts:read")]
    #[case("POST", "/contacts/batch/read", "contacts:read")]
    #[case("POST", "/contacts", "contacts:write")]
    #[case("PUT", "/contacts/{contactId}", "contacts:write")]
    #[case("DELETE", "/contacts/{contactId}", "contacts:write")]
    #[case("POST", "/contacts/{contactId}/restore", "contacts:write")]
    #[case("POST", "/contacts/batch/archive", "contacts:write")]
    #[case("PATCH", "/contacts/search", "contacts:write")]
    #[case("PUT", "/contacts/batch/read", "contacts:write")]
    #[case("PATCH", "/contacts/", "contacts:write")]
    #[case("BREW", "/contacts/", "contacts:write")]
    #[case("POST", "/contacts/{contactId}/purge", "contacts:purge")]
    #[case("POST", "/fields", "fields:write")]
    #[case("DELETE", "/fields/{internalName}", "fields:write")]
    #[case("GET", "/openapi.json", "contacts:read")]
    #[case("GET", "/me", "")]
    #[case("GET", "/healthz", "")]
    fn scope_follows_from_method_and_route(#[case] method: &str, #[case] route: &str, #[case] scope: &str) {
        let method = method.parse().expect("a valid method");
        assert_eq!(for_route(&method, route).map_or("", Scope::as_str), scope);
    }
}
