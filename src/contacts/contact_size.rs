//! The limit of the size of a contact (`docs/api-reference.md#limits`).
//!
//! The size is the length of the compact JSON object `{internal_name: value}` of the contact's set writable fields, in
//! bytes of UTF-8, with each value as the API renders it. A write must not make a contact larger than
//! [`MAX_CONTACT_BYTES`], unless the contact was at least as large before.
//!
//! A write loads a contact with the custom fields that it needs, which may be a small part of them. What is not loaded
//! stays unchanged, so the loaded values alone tell whether the write makes the contact larger. To tell whether it
//! exceeds the limit, each contact has an upper bound of the size of what is not loaded ([`Contact::unloaded_bytes`]).
//! The database stores the bound with the contact, so the document with the custom values is not read for it:
//!
//! - Most writes end here: the bound, the loaded values and the patch together are below the limit.
//! - Otherwise, the contact is loaded again with all custom fields ([`UnitOfWork::contacts_to_complete`]), unless the
//!   write cannot make it larger. The check is then exact.
//!
//! The bound counts the longest possible name for each custom field, because it is stored, and not the name, which
//! depends on the account's registry. It also counts values of deleted fields until the contact is loaded completely.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Contact, ContactPatch, UnitOfWork, Write};
use crate::fields::{FieldId, Registry, Value, Values};

/// The maximum size of a contact, in bytes.
pub const MAX_CONTACT_BYTES: usize = 262_144;
/// The maximum length of the internal name of a field.
const MAX_NAME_BYTES: usize = 63;

/// Returns the size of a member of a JSON object: `"name":value`, and the comma or brace after it.
fn member_bytes(name_bytes: usize, value: &Value) -> usize {
    name_bytes + r#""":,"#.len() + value.json_bytes()
}

/// Returns an upper bound of the size of these values.
fn max_bytes<'a>(values: impl Iterator<Item = (FieldId, &'a Value)>) -> usize {
    values.map(|(_, value)| member_bytes(MAX_NAME_BYTES, value)).sum()
}

/// Returns the size of the values of the fields that the account has.
fn bytes_of(values: &Values, registry: &Registry) -> usize {
    let field_of = |(id, value)| registry.by_id(id).map(|field| (field, value));
    let members = values.iter().filter_map(field_of);
    "{".len() + members.map(|(field, value)| member_bytes(field.internal_name.len(), value)).sum::<usize>()
}

fn is_custom((field, _): &(FieldId, &Value)) -> bool {
    field.is_custom()
}

impl Contact {
    /// Returns this contact, loaded with some of its custom fields. `custom_bytes` is an upper bound of the size of all
    /// custom values; `None` if it is unknown.
    #[must_use]
    pub fn with_custom_bytes(self, custom_bytes: Option<usize>) -> Self {
        let loaded = max_bytes(self.values.iter().filter(is_custom));
        Self { unloaded_bytes: custom_bytes.map(|bytes| bytes.saturating_sub(loaded)), ..self }
    }

    /// Returns an upper bound of the size of all custom values; `None` if it is unknown.
    #[must_use]
    pub fn custom_bytes(&self) -> Option<usize> {
        Some(self.unloaded_bytes? + max_bytes(self.values.iter().filter(is_custom)))
    }

    /// Returns whether the contact is too large, and larger than `before`, the state that it replaces.
    pub(super) fn is_too_large(&self, before: Option<&Self>, registry: &Registry) -> bool {
        if self.max_bytes().is_some_and(|bytes| bytes < MAX_CONTACT_BYTES) {
            return false;
        }
        let size = bytes_of(&self.values, registry);
        let is_larger = before.is_none_or(|before| size > bytes_of(&before.values, registry));
        is_larger && self.unloaded_bytes.is_none_or(|unloaded| size + unloaded > MAX_CONTACT_BYTES)
    }

    /// Returns an upper bound of the size of the contact; `None` if it is unknown.
    fn max_bytes(&self) -> Option<usize> {
        Some(self.unloaded_bytes? + "{".len() + max_bytes(self.values.iter()))
    }
}

/// The patches of a batch, by the contacts that they may apply to.
#[derive(Default)]
struct PatchesByContact<'w> {
    by_contact: HashMap<Uuid, PatchesOfContact<'w>>,
    /// The patches of writes that address a contact by a key, with the contact that holds the key before the batch.
    by_key: Vec<(Option<Uuid>, &'w ContactPatch)>,
}

/// The patches of the writes that address a contact by its id, or by a key that it holds before the batch.
#[derive(Default)]
struct PatchesOfContact<'w> {
    patches: Vec<&'w ContactPatch>,
    /// Whether the contact may get a key during the batch. It is then also addressed by writes by that key.
    may_gain_keys: bool,
}

impl<'w> PatchesByContact<'w> {
    fn new(unit_of_work: &UnitOfWork, writes: &[(&'w Write, &Registry)]) -> Self {
        let mut patches = Self::default();
        for (write, registry) in writes {
            let id = write.target().and_then(|target| unit_of_work.target_id(&target));
            if write.is_by_key() {
                patches.by_key.extend(write.patch().map(|patch| (id, patch)));
            }
            let Some(id) = id else { continue };
            let of_contact = patches.by_contact.entry(id).or_default();
            of_contact.patches.extend(write.patch());
            let is_gained = |key| unit_of_work.key_holder(key) != Some(id);
            of_contact.may_gain_keys |=
                matches!(write, Write::Restore { .. }) || write.claimed_keys(registry).iter().any(is_gained);
        }
        patches
    }

    /// Returns all patches that may apply to a contact.
    fn of_contact(&self, id: Uuid) -> Vec<&'w ContactPatch> {
        let Some(of_contact) = self.by_contact.get(&id) else { return vec![] };
        let others = self.by_key.iter().filter(|(holder, _)| of_contact.may_gain_keys && *holder != Some(id));
        of_contact.patches.iter().copied().chain(others.map(|(_, patch)| *patch)).collect()
    }
}

impl UnitOfWork {
    /// Returns the loaded contacts that must be loaded again with all custom fields, because one of the writes may make
    /// them too large. The caller must have loaded all [`Lookups`](super::Lookups).
    #[must_use]
    pub fn contacts_to_complete(&self, writes: &[(&Write, &Registry)]) -> Vec<Uuid> {
        let added: usize = writes.iter().filter_map(|(write, _)| write.patch()).map(patch_bytes).sum();
        let is_near_limit = |contact: &Contact| {
            let bytes = contact.max_bytes().map(|bytes| bytes + added);
            contact.unloaded_bytes != Some(0) && bytes.is_none_or(|bytes| bytes > MAX_CONTACT_BYTES)
        };
        let near_limit: Vec<_> = self.loaded_contacts().filter(|contact| is_near_limit(contact)).collect();
        let Some((_, registry)) = writes.first().filter(|_| !near_limit.is_empty()) else { return vec![] };
        let patches = PatchesByContact::new(self, writes);
        let may_exceed = |contact: &&Contact| may_exceed_limit(contact, &patches.of_contact(contact.id), registry);
        near_limit.into_iter().filter(may_exceed).map(|contact| contact.id).collect()
    }
}

/// Returns an upper bound of the size that a patch adds to a contact.
fn patch_bytes(patch: &ContactPatch) -> usize {
    max_bytes(patch.values())
}

/// Returns whether patches may make a contact that is not loaded completely too large and larger than before.
fn may_exceed_limit(contact: &Contact, patches: &[&ContactPatch], registry: &Registry) -> bool {
    match patches {
        [] => false,
        [patch] => contact.patched(patch, registry).is_some_and(|next| next.is_too_large(Some(contact), registry)),
        patches => {
            let added: usize = patches.iter().map(|patch| patch_bytes(patch)).sum();
            contact.max_bytes().is_none_or(|bytes| bytes + added > MAX_CONTACT_BYTES)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::ContactTarget;
    use crate::contacts::unit_of_work::fixtures::*;
    use crate::fields::{FieldId, system};

    const SIZE: FieldId = FieldId(100);

    /// An account with two contacts. The first one is loaded without its custom values, which have `unloaded` bytes.
    fn account(unloaded: Option<usize>) -> AccountFixture {
        let mut account = AccountFixture::with_contacts(&[
            r#"{"first_name": "A", "email": "a@b.cd"}"#,
            r#"{"first_name": "B", "email": "b@b.cd", "external_id": "k"}"#,
        ]);
        account.stored[0].unloaded_bytes = unloaded;
        account
    }

    fn by_email(email: &str) -> ContactTarget {
        ContactTarget::Key(key(system::EMAIL, email))
    }

    fn by_external_id(id: &str) -> ContactTarget {
        ContactTarget::Key(key(system::EXTERNAL_ID, id))
    }

    /// Returns whether the first contact has to be completed before these writes.
    fn must_complete(account: &mut AccountFixture, writes: &[Write]) -> bool {
        account.load_lookups(writes);
        let with_registry: Vec<_> = writes.iter().map(|write| (write, &account.registry)).collect();
        let ids = account.unit_of_work.contacts_to_complete(&with_registry);
        assert!(ids.is_empty() || ids == [account.id(0)]);
        !ids.is_empty()
    }

    #[test]
    fn size_is_the_length_of_the_json_object() {
        let values = r#"{"first_name": "\u0001\"Größe\" 😀", "tags": ["red", "blue"], "shoe_size": -1.5}"#;
        let contact = Contact::new(&patch(values));
        let json = r#"{"first_name":"\u0001\"Größe\" 😀","tags":["red","blue"],"shoe_size":-1.5}"#;
        assert_eq!(bytes_of(&contact.values, &AccountFixture::with_contacts(&[]).registry), json.len());
    }

    #[test]
    fn contact_far_below_the_limit_is_not_completed() {
        let write = update(by_email("a@b.cd"), r#"{"last_name": "L"}"#);
        assert!(!must_complete(&mut account(Some(200_000)), std::slice::from_ref(&write)));
        assert!(must_complete(&mut account(Some(MAX_CONTACT_BYTES)), std::slice::from_ref(&write)));
        assert!(must_complete(&mut account(None), &[write]));
    }

    #[test]
    fn contact_that_cannot_become_larger_is_not_completed() {
        let id = account(None).id(0);
        for writes in [
            vec![update(by_email("a@b.cd"), r#"{"first_name": "C"}"#)],
            vec![update(by_email("a@b.cd"), r#"{"first_name": null, "last_name": "L"}"#)],
            vec![update(by_email("a@b.cd"), r#"{"first_name": "A"}"#)],
            vec![archive(ContactTarget::Id(id))],
            vec![update(by_email("b@b.cd"), r#"{"last_name": "a longer name"}"#), archive(by_email("a@b.cd"))],
        ] {
            assert!(!must_complete(&mut account(None), &writes), "{writes:?}");
        }
    }

    #[test]
    fn patches_of_one_contact_count_together_even_if_a_key_moves_to_it() {
        let long = format!(r#"{{"last_name": "{}"}}"#, "x".repeat(200));
        let is_completed = |second: ContactTarget, first: &str| {
            let first = update(by_email("a@b.cd"), first);
            must_complete(&mut account(Some(MAX_CONTACT_BYTES - 550)), &[first, update(second, &long)])
        };
        assert!(!is_completed(by_email("b@b.cd"), &long));
        assert!(is_completed(by_email("a@b.cd"), &long));
        // The first write could take the key `k` over if the second contact had released it.
        assert!(is_completed(
            by_external_id("k"),
            r#"{"external_id": "k", "company_name": "a company of a long name"}"#
        ));
    }

    #[test]
    fn bound_of_unloaded_values_decides_with_the_loaded_values() {
        let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "shoe_size": 38}"#]);
        let stored = account.stored[0].clone().with_custom_bytes(Some(1_000));
        assert_eq!(stored.custom_bytes(), Some(1_000));
        let without_size = {
            let mut contact = stored.clone();
            contact.values.set(SIZE, None);
            contact.with_custom_bytes(Some(1_000))
        };
        assert_eq!(without_size.unloaded_bytes, Some(1_000));
        assert_eq!(
            stored.unloaded_bytes,
            Some(1_000 - member_bytes(MAX_NAME_BYTES, stored.values.get(SIZE).expect("set")))
        );
        account.stored[0].unloaded_bytes = Some(0);
        let mut complete = account.stored[0].clone();
        complete.unloaded_bytes = Some(MAX_CONTACT_BYTES - bytes_of(&complete.values, &account.registry));
        let next = |fields| complete.patched(&patch(fields), &account.registry).expect("a change");
        assert!(!next(r#"{"first_name": "B"}"#).is_too_large(Some(&complete), &account.registry));
        assert!(next(r#"{"first_name": "BB"}"#).is_too_large(Some(&complete), &account.registry));
    }
}
