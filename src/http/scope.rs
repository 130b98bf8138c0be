//! Which scope a call needs (contract §6, "Scopes").

use axum::http::Method;

use crate::clients::Scope;

/// The scope that a token needs for this method on this route, by the route's template. `None` where no scope limits
/// anything: what is neither about contacts nor about fields. (The document, called with a token, shows the account's.)
///
/// The exceptions are listed, and the rule covers the rest: a route added later that writes needs a scope for writing,
/// unless it is named here. A fixed word is an exception for its own method only: `PATCH /contacts/search?id_property=…`
/// writes the contact that has this value.
pub(super) fn needed(method: &Method, route: &str) -> Option<Scope> {
    let segments: Vec<_> = route.split('/').skip(1).collect();
    match (method, &*segments) {
        (&Method::POST, ["contacts", "search"] | ["contacts", "batch", "read"]) => Some(Scope::ContactsRead),
        (&Method::POST, ["contacts", _, "purge"]) => Some(Scope::ContactsPurge),
        // GET and HEAD; also a method that is answered before its route has a say, such as OPTIONS.
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
    #[case("GET", "/healthz", "")]
    fn follows_the_table_of_the_contract(#[case] method: &str, #[case] route: &str, #[case] scope: &str) {
        let method = method.parse().expect("a method");
        assert_eq!(needed(&method, route).map_or("", Scope::as_str), scope);
    }
}
