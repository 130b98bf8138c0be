//! The contacts that must be loaded with all custom fields before a batch of writes is applied, because a write may make
//! them too large (`contact_size.rs`).

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::contact_size::{MAX_CONTACT_BYTES, max_bytes};
use super::{Contact, ContactPatch, UnitOfWork, Write};
use crate::fields::Registry;

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
            let id = unit_of_work.addressed_contact(write);
            if write.is_by_key() {
                patches.by_key.extend(write.patch().map(|patch| (id, patch)));
            }
            let Some(id) = id else { continue };
            let of_contact = patches.by_contact.entry(id).or_default();
            of_contact.patches.extend(write.patch());
            let is_gained = |key| unit_of_work.key_holder(key) != Some(id);
            of_contact.may_gain_keys |= write.restores() || write.claimed_keys(registry).iter().any(is_gained);
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
    /// them too large: in the order of the writes. The caller must have loaded all [`Lookups`](super::Lookups).
    #[must_use]
    pub fn contacts_to_complete(&self, writes: &[(&Write, &Registry)]) -> Vec<Uuid> {
        let incomplete: Vec<_> = self.loaded_contacts().filter(|contact| contact.unloaded_bytes != Some(0)).collect();
        if incomplete.is_empty() {
            return vec![];
        }
        let added: usize = writes.iter().filter_map(|(write, _)| write.patch()).map(patch_bytes).sum();
        let is_near_limit =
            |contact: &&Contact| contact.max_bytes().is_none_or(|bytes| bytes + added > MAX_CONTACT_BYTES);
        let near_limit: Vec<_> = incomplete.into_iter().filter(is_near_limit).collect();
        let Some((_, registry)) = writes.first().filter(|_| !near_limit.is_empty()) else { return vec![] };
        let patches = PatchesByContact::new(self, writes);
        let may_exceed = |contact: &&Contact| may_exceed_limit(contact, &patches.of_contact(contact.id), registry);
        let mut incomplete: HashSet<_> = near_limit.into_iter().filter(may_exceed).map(|contact| contact.id).collect();
        // Only contacts that a write addresses are incomplete.
        let ids = writes.iter().filter_map(|(write, _)| self.addressed_contact(write));
        ids.filter(|id| incomplete.remove(id)).collect()
    }
}

/// Returns an upper bound of the size that a patch adds to a contact.
fn patch_bytes(patch: &ContactPatch) -> usize {
    patch.set_or_added_values().map(|(field, value)| max_bytes(std::iter::once((field, &*value)))).sum()
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
    use crate::fields::system;

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
    fn contact_far_below_the_limit_is_not_completed() {
        let write = update(by_email("a@b.cd"), r#"{"last_name": "L"}"#);
        assert!(!must_complete(&mut account(Some(200_000)), std::slice::from_ref(&write)));
        assert!(must_complete(&mut account(Some(MAX_CONTACT_BYTES)), std::slice::from_ref(&write)));
        assert!(must_complete(&mut account(None), &[write]));
    }

    #[test]
    fn contacts_are_completed_in_the_order_of_the_writes() {
        let mut account = account(None);
        account.stored[1].unloaded_bytes = None;
        let larger = |email| update(by_email(email), r#"{"job_title": "T"}"#);
        let writes = [larger("b@b.cd"), larger("a@b.cd"), larger("b@b.cd")];
        account.load_lookups(&writes);
        let with_registry: Vec<_> = writes.iter().map(|write| (write, &account.registry)).collect();
        let ids = account.unit_of_work.contacts_to_complete(&with_registry);
        assert_eq!(ids, [account.id(1), account.id(0)]);
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
}
