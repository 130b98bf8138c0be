//! Preconditions of a write on the current state of its contact (`docs/api-reference.md#conditional-requests`,
//! RFC 9110 §13.1).

use super::{Contact, EntityTag};

/// A condition on the current state of a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// No condition.
    #[default]
    None,
    /// `*`: the contact exists.
    Exists,
    /// `"a", "b"`: one of these entity tags identifies the contact's state.
    Matches(Vec<EntityTag>),
    /// The contact has this version.
    Version(i64),
}

/// The conditions of a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-Match`: the condition that must be met. It is never met if the contact does not exist.
    pub if_match: Precondition,
    /// `If-None-Match`: the condition that must not be met.
    pub if_none_match: Precondition,
}

/// The reason why a contact does not meet the preconditions of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnmetPrecondition {
    /// `If-Match` has other tags or another version.
    OtherVersion,
    /// `If-Match` requires a contact that does not exist.
    Missing,
    /// `If-None-Match` has the tag of the contact.
    SameVersion,
    /// `If-None-Match: *` requires that the contact does not exist.
    Exists,
}

impl Precondition {
    /// Parses the lines of a header. Members of the list that are not entity tags never match.
    pub fn from_header_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let members: Vec<_> = lines.into_iter().flat_map(list_members).collect();
        if members == ["*"] {
            return Self::Exists;
        }
        Self::Matches(members.into_iter().filter_map(EntityTag::parse).collect())
    }

    /// Parses `*`, or entity tags separated by commas. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let members: Vec<_> = list_members(text).collect();
        match members[..] {
            [] => None,
            ["*"] => Some(Self::Exists),
            _ => members.into_iter().map(EntityTag::parse).collect::<Option<_>>().map(Self::Matches),
        }
    }

    /// Returns whether there is a condition and `contact` in its current state meets it.
    fn is_met_by(&self, contact: &Contact) -> bool {
        match self {
            Self::None => false,
            Self::Exists => true,
            Self::Matches(tags) => tags.iter().any(|tag| tag.identifies(contact)),
            Self::Version(version) => contact.version == *version,
        }
    }
}

impl Preconditions {
    /// Checks the current state of an existing contact.
    ///
    /// # Errors
    /// Returns the first condition that does not hold.
    pub(super) fn check(&self, contact: &Contact) -> Result<(), UnmetPrecondition> {
        if self.if_match != Precondition::None && !self.if_match.is_met_by(contact) {
            return Err(UnmetPrecondition::OtherVersion);
        }
        match self.if_none_match.is_met_by(contact) {
            false => Ok(()),
            true if self.if_none_match == Precondition::Exists => Err(UnmetPrecondition::Exists),
            true => Err(UnmetPrecondition::SameVersion),
        }
    }

    /// Checks a contact that does not exist.
    ///
    /// # Errors
    /// Returns [`UnmetPrecondition::Missing`] if the contact must exist.
    pub(super) fn check_missing(&self) -> Result<(), UnmetPrecondition> {
        if self.if_match == Precondition::None { Ok(()) } else { Err(UnmetPrecondition::Missing) }
    }
}

/// Returns the members of a list: the texts between the commas outside of quotes.
fn list_members(list: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let members = list.split(move |character| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    });
    members.map(str::trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::{ContactPatch, version_part};

    fn tags(tags: &[&str]) -> Precondition {
        Precondition::Matches(tags.iter().map(|tag| EntityTag::parse(tag).expect("an entity tag")).collect())
    }

    #[test]
    fn header_is_parsed_without_members_that_are_not_tags() {
        let parse = |lines: &[&str]| Precondition::from_header_lines(lines.iter().copied());
        assert_eq!(parse(&[" * "]), Precondition::Exists);
        assert_eq!(parse(&["\"a\", W/\"b\" ,x,", "\"c,d\""]), tags(&["\"a\"", "\"b\"", "\"c,d\""]));
        for lines in [&[][..], &["a"], &[""], &["*,*"]] {
            assert_eq!(parse(lines), tags(&[]), "{lines:?}");
        }
    }

    #[test]
    fn text_with_a_member_that_is_not_a_tag_is_rejected() {
        assert_eq!(Precondition::parse("*"), Some(Precondition::Exists));
        assert_eq!(Precondition::parse("\"a\", W/\"b\""), Some(tags(&["\"a\"", "\"b\""])));
        for text in ["", ",", "5", "a", "\"a\", b", "*, \"a\"", "\"a", "\"a\" \"b\""] {
            assert_eq!(Precondition::parse(text), None, "{text}");
        }
    }

    #[test]
    fn preconditions_are_checked_against_the_current_state() {
        use UnmetPrecondition::*;
        let contact = Contact::new(&ContactPatch::default());
        let current = || tags(&["\"other.x\"", &format!("\"{}.x\"", version_part(&contact))]);
        let check = |if_match, if_none_match| Preconditions { if_match, if_none_match }.check(&contact).err();
        let none = || Precondition::None;
        for (if_match, if_none_match, expected) in [
            (none(), none(), None),
            (Precondition::Exists, tags(&["\"other.x\""]), None),
            (current(), tags(&[]), None),
            (Precondition::Version(1), none(), None),
            (Precondition::Version(2), none(), Some(OtherVersion)),
            (tags(&[]), none(), Some(OtherVersion)),
            (tags(&["\"other.x\""]), current(), Some(OtherVersion)),
            (current(), current(), Some(SameVersion)),
            (none(), Precondition::Exists, Some(Exists)),
        ] {
            assert_eq!(check(if_match.clone(), if_none_match.clone()), expected, "{if_match:?}, {if_none_match:?}");
        }
    }
}
