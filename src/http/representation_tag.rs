//! Entity tags of responses (`docs/api-reference.md#conditional-requests`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::contacts::{Contact, version_part};
use crate::fields::Selection;

/// The length of the hash in a representation part. It makes 8 characters of Base64.
const HASH_LENGTH: usize = 6;

/// Composes a strong entity tag, including its quotes: `"VERSION.REPRESENTATION"`.
///
/// The version part identifies the state of the resource. It must not contain a dot, because a write compares the part
/// of a tag before the first dot and nothing else. The representation part identifies everything else that determines
/// the bytes of the response. Append to it whatever else changes the bytes, such as the content coding:
/// `representation_tag(&version, &format!("{representation}.gzip"))`.
pub(super) fn representation_tag(version_part: &str, representation_part: &str) -> String {
    format!("\"{version_part}.{representation_part}\"")
}

/// Returns the entity tag of a response that renders `contact` with `selection`, without a content coding.
pub(super) fn contact_tag(contact: &Contact, selection: &Selection) -> String {
    representation_tag(&version_part(contact), &representation_part(selection))
}

/// Returns the representation part for a contact that is rendered with `selection`: a hash of the selected fields, of
/// the version of the registry that describes them, and of the version of the service, which may render differently.
fn representation_part(selection: &Selection) -> String {
    let mut hash = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION"));
    hash.update(selection.registry_version().stored().to_be_bytes());
    selection.extra().iter().for_each(|field| hash.update(field.id.0.to_be_bytes()));
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..HASH_LENGTH])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::ContactPatch;
    use crate::fields::{Registry, registry_fixtures as fixtures};

    #[test]
    fn tag_depends_on_the_selected_fields_and_on_the_registry_version() {
        let contact = Contact::new(&ContactPatch::default());
        let tag = |names: &str, registry: &Registry| {
            let selection = Selection::parse(names.split(','), registry).expect("known properties");
            contact_tag(&contact, &selection)
        };
        let registry = fixtures::registry();
        let default = tag("", &registry);
        assert_eq!((default.len(), default.matches('.').count()), (27, 1));
        assert_eq!(tag("email, ,id", &registry), default);
        assert_eq!(tag("phone,tags,phone", &registry), tag("phone,tags", &registry));
        let custom = || registry.fields().iter().filter(|field| !field.system).map(|field| (**field).clone());
        let newer = Registry::new(registry.version().next(), custom().collect());
        let tags = [
            default,
            tag("phone", &registry),
            tag("phone,tags", &registry),
            tag("tags,phone", &registry),
            tag("", &newer),
            tag("phone", &newer),
        ];
        let distinct: std::collections::HashSet<_> = tags.iter().collect();
        assert_eq!(distinct.len(), tags.len(), "{tags:?}");
        assert!(tags.iter().all(|tag| tag.starts_with(&format!("\"{}.", version_part(&contact)))));
    }
}
