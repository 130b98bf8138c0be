//! What a token may do (contract §6, "Scopes"). No scope implies another.

use std::fmt;
use std::str::FromStr;

/// One thing that a token may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Reading contacts and fields: GET, search, batch reads, the feed and the history.
    ContactsRead,
    /// Every other route of contacts, but for erasure.
    ContactsWrite,
    /// Erasing contacts for good.
    ContactsPurge,
    /// Changing the registry of fields.
    FieldsWrite,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 4] = [Self::ContactsRead, Self::ContactsWrite, Self::ContactsPurge, Self::FieldsWrite];

    /// What claims, requests and the command line call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContactsRead => "contacts:read",
            Self::ContactsWrite => "contacts:write",
            Self::ContactsPurge => "contacts:purge",
            Self::FieldsWrite => "fields:write",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes. The empty one allows nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

/// A name that is no scope's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope: the scopes are contacts:read, contacts:write, contacts:purge and fields:write")]
pub struct UnknownScope(String);

impl Scopes {
    /// The scopes that the claim of a token grants. Names that others gave a meaning grant nothing here.
    #[must_use]
    pub fn of_claim(text: &str) -> Self {
        text.split_ascii_whitespace().filter_map(Scope::of_name).collect()
    }

    /// Whether it holds `scope`.
    #[must_use]
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether `other` holds all of this.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether it holds none.
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

/// Strict: a name that means nothing here is a mistake of whoever asks for it.
impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let of_name = |name| Scope::of_name(name).ok_or_else(|| UnknownScope(name.to_owned()));
        text.split_ascii_whitespace().map(of_name).collect()
    }
}

/// Blank-separated, as in the claim.
impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Scope::ALL.into_iter().filter(|scope| self.contains(*scope)).map(Scope::as_str).collect();
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
    fn reads_and_writes_sets() {
        assert_eq!(scopes(" fields:write  contacts:read fields:write").to_string(), "contacts:read fields:write");
        assert_eq!(scopes(""), Scopes::default());
        assert!(scopes("").is_empty() && !scopes("contacts:purge").is_empty());
        let Err(unknown) = "contacts:read contacts:delete".parse::<Scopes>() else { panic!("an unknown scope") };
        assert!(unknown.to_string().starts_with("\"contacts:delete\" is no scope"), "{unknown}");
        assert!("Contacts:Read".parse::<Scopes>().is_err());
    }

    #[test]
    fn takes_from_a_claim_what_it_knows() {
        assert_eq!(Scopes::of_claim("openid contacts:read CONTACTS:WRITE contacts:*"), scopes("contacts:read"));
        assert_eq!(Scopes::of_claim("openid"), Scopes::default());
    }

    #[test]
    fn none_implies_another() {
        for scope in Scope::ALL {
            let held: Vec<_> = Scope::ALL.into_iter().filter(|other| scopes(scope.as_str()).contains(*other)).collect();
            assert_eq!(held, [scope]);
        }
    }

    #[test]
    fn knows_its_subsets() {
        let all: Scopes = Scope::ALL.into_iter().collect();
        assert!(scopes("contacts:read").is_within(all) && scopes("").is_within(scopes("")));
        assert!(!all.is_within(scopes("contacts:read")) && !scopes("fields:write").is_within(scopes("contacts:write")));
    }
}
