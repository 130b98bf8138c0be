//! The scopes that limit a token (`docs/api-reference.md#scopes`). No scope implies another.

use std::fmt;
use std::str::FromStr;

/// A permission that a token can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read contacts and fields: GET, search, batch reads, the change feed and the history.
    ContactsRead,
    /// Use all other contact routes, except purging.
    ContactsWrite,
    /// Purge contacts: delete them permanently.
    ContactsPurge,
    /// Create, change and delete custom fields.
    FieldsWrite,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::ContactsRead, Self::ContactsWrite, Self::ContactsPurge, Self::FieldsWrite];

    /// Returns the name used in claims, requests and the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContactsRead => "contacts:read",
            Self::ContactsWrite => "contacts:write",
            Self::ContactsPurge => "contacts:purge",
            Self::FieldsWrite => "fields:write",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes. The empty set permits nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

/// The error for an unknown scope name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope {0:?}: use contacts:read, contacts:write, contacts:purge or fields:write")]
pub struct UnknownScope(String);

impl Scopes {
    /// Parses a scope claim that is a string. Ignores unknown names, which can be scopes of other services.
    #[must_use]
    pub fn from_claim(text: &str) -> Self {
        Self::from_claim_names(text.split_ascii_whitespace())
    }

    /// Collects the names of a scope claim that is an array. Ignores unknown names.
    #[must_use]
    pub fn from_claim_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(Scope::from_name).collect()
    }

    /// Returns whether the set contains `scope`.
    #[must_use]
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Returns the scopes in this set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }

    /// Returns whether every scope of this set is also in `other`.
    #[must_use]
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns whether the set contains no scope.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// Parses scope names separated by white space. Unlike [`Scopes::from_claim`], fails on an unknown name.
impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let parse_name = |name| Scope::from_name(name).ok_or_else(|| UnknownScope(name.to_owned()));
        text.split_ascii_whitespace().map(parse_name).collect()
    }
}

/// Writes the names separated by spaces, as in the claim.
impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Scope::as_str).collect();
        formatter.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        text.parse().expect("scopes")
    }

    #[test]
    fn scopes_are_parsed_and_printed_and_unknown_names_are_rejected() {
        assert_eq!(scopes(" fields:write  contacts:read fields:write").to_string(), "contacts:read fields:write");
        assert_eq!(scopes(""), Scopes::default());
        assert!(scopes("").is_empty() && !scopes("contacts:purge").is_empty());
        let Err(unknown) = "contacts:read contacts:delete".parse::<Scopes>() else { panic!("an unknown scope") };
        assert!(unknown.to_string().starts_with("unknown scope \"contacts:delete\""), "{unknown}");
        assert!("Contacts:Read".parse::<Scopes>().is_err());
    }

    #[test]
    fn unknown_names_in_a_scope_claim_are_ignored() {
        assert_eq!(Scopes::from_claim("openid contacts:read CONTACTS:WRITE contacts:*"), scopes("contacts:read"));
        assert_eq!(Scopes::from_claim("openid"), Scopes::default());
    }

    #[test]
    fn no_scope_implies_another() {
        for scope in Scope::ALL {
            let contained: Vec<_> =
                Scope::ALL.into_iter().filter(|other| scopes(scope.as_str()).contains(*other)).collect();
            assert_eq!(contained, [scope]);
        }
    }

    #[test]
    fn is_subset_compares_every_scope() {
        let all: Scopes = Scope::ALL.into_iter().collect();
        assert!(scopes("contacts:read").is_subset(all) && scopes("").is_subset(scopes("")));
        assert!(!all.is_subset(scopes("contacts:read")) && !scopes("fields:write").is_subset(scopes("contacts:write")));
    }
}
