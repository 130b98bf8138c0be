//! The `--scope` argument, and the notes about tokens without scopes.

use crate::clients::Scopes;

/// Parses `--scope`.
///
/// # Errors
/// Fails if a name is unknown. Also fails if the value is empty: a token without scopes is useless, and the likely cause
/// is `--scope "$SCOPES"` with an unset variable.
pub(super) fn parse_scopes(text: &str) -> Result<Scopes, String> {
    let scopes: Scopes = text.parse().map_err(|error| format!("{error}"))?;
    if scopes.is_empty() {
        Err("name at least one scope, or omit --scope to set no limit".to_owned())
    } else {
        Ok(scopes)
    }
}

/// Says on standard error what a token without scopes may do. `subject` names the token.
pub(super) fn print_note_about_missing_scope(subject: &str, require_scope: bool) {
    if require_scope {
        eprintln!("warning: {subject} no scope, and REQUIRE_SCOPE is true: every call is 403. Set scopes with --scope");
    } else {
        eprintln!("note: {subject} no scope: every call is allowed, or none where REQUIRE_SCOPE is true");
    }
}
