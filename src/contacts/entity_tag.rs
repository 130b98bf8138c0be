//! Entity tags of contacts (`docs/api-reference.md#conditional-requests`).
//!
//! A tag has two parts, separated by a dot: the version part identifies the state of the contact, the representation
//! part everything else that determines the bytes of a response. Writes compare the version part only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Contact;

/// The length of the hash in a version part. It makes 16 characters of Base64.
const HASH_LENGTH: usize = 12;
/// The suffix that Apache's `mod_deflate` appends to the tags of responses that it compresses.
const APACHE_SUFFIX: &str = "-gzip";

/// Returns the version part of the entity tags of a contact. It changes exactly when the contact changes, and no two
/// contacts have the same version part.
///
/// It contains a random number: if a failover loses the last writes, a later write gives their versions to other states of
/// the contact, and also their times if the clocks of two instances differ.
#[must_use]
pub fn version_part(contact: &Contact) -> String {
    version_part_with_tag(contact, contact.tag)
}

fn version_part_with_tag(contact: &Contact, tag: Option<i32>) -> String {
    let mut hash = Sha256::new_with_prefix(contact.id.as_bytes());
    hash.update(contact.version.to_be_bytes());
    hash.update(contact.updated_at.timestamp_millis().to_be_bytes());
    if let Some(tag) = tag {
        hash.update(tag.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..HASH_LENGTH])
}

/// An entity tag that a caller sent, without its quotes and without the prefix `W/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag(String);

impl EntityTag {
    /// Parses a tag: `"…"` or `W/"…"`. Returns `None` if the text is not a tag.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let quoted = text.strip_prefix("W/").unwrap_or(text);
        let opaque = quoted.strip_prefix('"')?.strip_suffix('"')?;
        (!opaque.contains('"')).then(|| Self(opaque.to_owned()))
    }

    /// Returns whether `tag`, an entity tag with its quotes, is the same tag (weak comparison, RFC 9110 §8.8.3.2).
    #[must_use]
    pub fn is_equal_to(&self, tag: &str) -> bool {
        Self::parse(tag).as_ref() == Some(self)
    }

    /// Returns whether this is a tag of `contact` in its current state, for any representation.
    ///
    /// Also accepts the tags of the builds before this format, so that tags stay valid during a rolling upgrade. The
    /// release after the first one with this format drops them.
    #[must_use]
    pub(super) fn identifies(&self, contact: &Contact) -> bool {
        match self.0.split_once('.') {
            Some((sent, _)) => sent == version_part(contact) || sent == version_part_with_tag(contact, None),
            None => {
                let sent = self.0.strip_suffix(APACHE_SUFFIX).unwrap_or(&self.0);
                sent == format!("{}-{}", contact.id.simple(), contact.version)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::contacts::ContactPatch;

    fn tag(text: &str) -> EntityTag {
        EntityTag::parse(text).expect("an entity tag")
    }

    #[test]
    fn entity_tag_is_parsed_with_and_without_the_weak_prefix() {
        assert_eq!(tag("\"a.b\""), tag("W/\"a.b\""));
        assert!(tag("\"a.b\"").is_equal_to("\"a.b\"") && !tag("\"a.b\"").is_equal_to("\"a.c\""));
        for other in ["", "\"", "a", "\"a", "a\"", "w/\"a\"", "W/a", "\"a\"b\"", "*"] {
            assert_eq!(EntityTag::parse(other), None, "{other}");
        }
    }

    #[test]
    fn every_form_of_the_current_tag_identifies_the_contact() {
        let contact = Contact::new(&ContactPatch::default());
        let version = version_part(&contact);
        let old_form = format!("{}-{}", contact.id.simple(), contact.version);
        let before_tags = version_part(&Contact { tag: None, ..contact.clone() });
        for opaque in [version.clone() + ".x", version.clone() + ".", version.clone() + ".x.gzip", before_tags + ".x"] {
            for form in [format!("\"{opaque}\""), format!("W/\"{opaque}\""), format!("\"{opaque}-gzip\"")] {
                assert!(tag(&form).identifies(&contact), "{form}");
            }
        }
        for form in [format!("\"{old_form}\""), format!("W/\"{old_form}\""), format!("\"{old_form}-gzip\"")] {
            assert!(tag(&form).identifies(&contact), "{form}");
        }
        for other in [version.clone(), "x.x".into(), String::new(), format!("x{version}.x"), format!("{old_form}0")] {
            assert!(!tag(&format!("\"{other}\"")).identifies(&contact), "{other}");
        }
    }

    #[test]
    fn version_part_depends_on_id_version_time_and_tag() {
        let contact = Contact::new(&ContactPatch::default());
        let version = version_part(&contact);
        assert_eq!(version.len(), 16);
        for other in [
            Contact { id: uuid::Uuid::nil(), ..contact.clone() },
            Contact { version: 2, ..contact.clone() },
            Contact { tag: contact.tag.map(|tag| tag ^ 1), ..contact.clone() },
            Contact { tag: None, ..contact.clone() },
            Contact { updated_at: contact.updated_at + TimeDelta::milliseconds(1), ..contact.clone() },
        ] {
            assert_ne!(version_part(&other), version);
        }
    }
}
