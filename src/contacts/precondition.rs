//! `If-Match`: what a write demands of the contact's present state (contract §5, RFC 9110 §13.1.1).

use super::Contact;

/// What must hold of a contact for a write to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing was demanded.
    #[default]
    None,
    /// `If-Match: *`: that the contact exists.
    Exists,
    /// `If-Match: "a", "b"`: that the contact's tag is one of these strong tags (quotes included).
    Matches(Vec<String>),
}

impl Precondition {
    /// Whether it holds for `contact` as it is.
    #[must_use]
    pub fn holds(&self, contact: &Contact) -> bool {
        match self {
            Self::None | Self::Exists => true,
            Self::Matches(tags) => tags.contains(&etag(contact)),
        }
    }
}

/// The strong entity tag of a contact, quotes included: it changes exactly when the contact does, and no two
/// contacts share one.
#[must_use]
pub fn etag(contact: &Contact) -> String {
    format!("\"{}-{}\"", contact.id.simple(), contact.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::Draft;

    #[test]
    fn holds_for_the_present_tag_only() {
        let contact = Contact::new(&Draft::default());
        let archived = contact.archived(None, &crate::fields::registry_samples::registry());
        let current = Precondition::Matches(vec!["\"other\"".into(), etag(&contact)]);
        assert!(current.holds(&contact));
        assert!(!current.holds(&archived));
        assert!(!current.holds(&Contact::new(&Draft::default())));
        assert!(!Precondition::Matches(vec![]).holds(&contact));
        assert!(Precondition::Exists.holds(&contact) && Precondition::None.holds(&contact));
    }
}
