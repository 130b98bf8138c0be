//! Tests of the state that a unit of work loads, changes and passes on.

use uuid::Uuid;

use super::fixtures::*;
use crate::contacts::ContactTarget;
use crate::fields::system;

#[test]
fn updates_of_one_contact_form_a_chain_of_changes() {
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "a"}"#]);
    let id = account.id(0);
    let writes = ["b", "c", "a"].map(|badge| update(ContactTarget::Id(id), &format!(r#"{{"badge": "{badge}"}}"#)));
    let outcomes = account.apply(&writes);
    assert_eq!(outcomes.iter().flatten().map(|written| written.contact.version).collect::<Vec<_>>(), [2, 3, 4]);
    let chain: Vec<_> =
        account.unit_of_work.changes().iter().map(|change| (change.previous_position, change.position)).collect();
    assert_eq!(chain, [(1, 2), (2, 3), (3, 4)]);
    for pair in account.unit_of_work.changes().windows(2) {
        assert_eq!(pair[0].after, pair[1].before);
    }
    // The last update restores the first key, so no key has changed.
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!((effects.updated[0].before.version, effects.updated[0].now.version), (1, 4));
    assert!(effects.keys_removed.is_empty() && effects.keys_added.is_empty());
}

#[test]
fn lookups_end_after_at_most_two_rounds_and_are_not_repeated() {
    let stored = [r#"{"first_name": "A", "badge": "a", "email": "a@b.cd"}"#, r#"{"first_name": "B", "badge": "b"}"#];
    for (writes, rounds) in [
        (vec![create(r#"{"first_name": "C"}"#)], 0),
        (vec![create(r#"{"badge": "c"}"#), update(ContactTarget::Id(Uuid::nil()), "{}")], 1),
        // A key leads to its holder, and a contact to restore leads to its keys.
        (vec![upsert("a", r#"{"email": "n@b.cd"}"#), update(by_badge("nobody"), "{}")], 2),
        (vec![archive(by_badge("b")), purge(Uuid::nil())], 2),
    ] {
        assert_eq!(AccountFixture::with_contacts(&stored).load_lookups(&writes), rounds, "{writes:?}");
    }
    let mut account = AccountFixture::with_contacts(&stored);
    account.stored[0] = account.stored[0].archived(None, &account.registry);
    let id = account.id(0);
    assert_eq!(account.load_lookups(&[restore(id), restore(id), update(by_badge("b"), r#"{"badge": "a"}"#)]), 2);
    assert_eq!(account.load_lookups(&[restore(id)]), 0);
}

#[test]
fn loaded_state_does_not_replace_known_state() {
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "k"}"#]);
    let id = account.id(0);
    account
        .apply_one(update(ContactTarget::Id(id), r#"{"badge": null, "first_name": "B"}"#))
        .expect("the contact is updated");
    account.unit_of_work.add_loaded_contact(id, Some(account.stored[0].clone()));
    account.unit_of_work.add_loaded_key_holder(key(BADGE, "k"), Some(id));
    let written = account.apply_one(upsert("k", r#"{"first_name": "C"}"#)).expect("the contact is created");
    assert!(written.created);
    let written = account.apply_one(update(ContactTarget::Id(id), "{}")).expect("the contact exists");
    assert_eq!(written.contact.values.text(system::FIRST_NAME), Some("B"));
}

#[test]
fn next_batch_starts_from_the_changes_of_the_previous_batch() {
    let stored = [r#"{"first_name": "A", "badge": "a"}"#, r#"{"first_name": "B", "badge": "b"}"#];
    let mut account = AccountFixture::with_contacts(&stored);
    let (a, b) = (account.id(0), account.id(1));
    let outcomes = account.apply(&[
        update(ContactTarget::Id(a), r#"{"badge": null}"#),
        update(ContactTarget::Id(b), r#"{"badge": "a"}"#),
        upsert("c", r#"{"first_name": "C"}"#),
        create(r#"{"badge": "c", "first_name": "rejected"}"#),
    ]);
    let created = outcomes[2].as_ref().expect("the contact is created").contact.id;
    account.unit_of_work = account.unit_of_work.for_next_batch();
    assert!(account.unit_of_work.changes().is_empty() && account.unit_of_work.is_values_only());
    assert_eq!(account.unit_of_work.position(), 5);
    // The fixture still loads the state before the first batch.
    let outcomes = account.apply(&[
        upsert("a", r#"{"last_name": "of B"}"#),
        upsert("c", r#"{"last_name": "of C"}"#),
        upsert("b", r#"{"first_name": "D"}"#),
        update(ContactTarget::Id(a), r#"{"badge": "c"}"#),
    ]);
    assert_eq!(rejections(&outcomes), [None, None, None, Some(&duplicate_rejection(BADGE, created))]);
    let ids: Vec<_> = outcomes.iter().flatten().map(|written| (written.contact.id, written.created)).collect();
    assert_eq!(ids[..2], [(b, false), (created, false)]);
    assert!(ids[2].1);
    let effects = account.unit_of_work.effects(&account.registry);
    let updated: Vec<_> =
        effects.updated.iter().map(|updated| (updated.now.id, updated.before.version, updated.now.version)).collect();
    assert_eq!((updated.len(), effects.created.len()), (2, 1));
    assert!(updated.contains(&(b, 2, 3)) && updated.contains(&(created, 1, 2)), "{updated:?}");
    assert_eq!((effects.keys_removed, effects.keys_added), (vec![], vec![(ids[2].0, key(BADGE, "b"), true)]));
}
