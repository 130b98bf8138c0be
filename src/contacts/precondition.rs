//! Preconditions of a write on the current state of its contact (`docs/api-reference.md#conditional-requests`,
//! RFC 9110 §13.1.1).

use super::Contact;

/// A condition on the current state of a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// No condition.
    #[default]
    None,
    /// `If-Match: *`: the contact exists.
    Exists,
    /// `If-Match: "a", "b"`: the contact's entity tag is one of these strong tags, which include their quotes.
    Matches(Vec<String>),
}

impl Precondition {
    /// Returns whether `contact` in its current state meets the condition.
    #[must_use]
    pub fn is_met_by(&self, contact: &Contact) -> bool {
        match self {
            Self::None | Self::Exists => true,
            Self::Matches(tags) => tags.contains(&etag(contact)),
        }
    }
}

/// Returns the strong entity tag of a contact, including its quotes. The tag changes exactly when the contact changes.
/// No two contacts have the same tag.
#[must_use]
pub fn etag(contact: &Contact) -> String {
    format!("\"{}-{}\"", contact.id.simple(), contact.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::ContactPatch;

    #[test]
    fn if_match_is_met_only_by_the_current_etag() {
        let contact = Contact::new(&ContactPatch::default());
        let archived = contact.archived(None, &crate::fields::registry_fixtures::registry());
        let current = Precondition::Matches(vec!["\"other\"".into(), etag(&contact)]);
        assert!(current.is_met_by(&contact));
        assert!(!current.is_met_by(&archived));
        assert!(!current.is_met_by(&Contact::new(&ContactPatch::default())));
        assert!(!Precondition::Matches(vec![]).is_met_by(&contact));
        assert!(Precondition::Exists.is_met_by(&contact) && Precondition::None.is_met_by(&contact));
    }
}
