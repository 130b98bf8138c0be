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
    assert_eq!(chain, [(1, -1), (-1, -2), (-2, -3)]);
    for pair in account.unit_of_work.changes().windows(2) {
        assert_eq!(pair[0].after, pair[1].before);
    }
    // The last update restores the first key, so no key has changed.
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!((effects.updated[0].before.version, effects.updated[0].now.version), (1, 4));
    assert!(effects.keys_removed.is_empty() && effects.keys_added.is_empty());
    // The keys in between were claimed nevertheless. The first key was never free.
    let mut claimed = effects.free_keys_claimed;
    claimed.sort_unstable();
    assert_eq!(claimed, [key(BADGE, "b"), key(BADGE, "c")]);
}

#[test]
fn lookups_end_after_at_most_two_rounds_and_are_not_repeated() {
    let stored = [r#"{"first_name": "A", "badge": "a", "email": "a@b.cd"}"#, r#"{"first_name": "B", "badge": "b"}"#];
    for (writes, rounds) in [
        (vec![create(r#"{"first_name": "C"}"#)], 0),
        (vec![create(r#"{"badge": "c"}"#), update(ContactTarget::Id(Uuid::nil()), "{}")], 1),
        // A contact to restore leads to its keys.
        (vec![upsert("a", r#"{"email": "n@b.cd"}"#), update(by_badge("nobody"), "{}")], 1),
        (vec![archive(by_badge("b")), purge(Uuid::nil())], 1),
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
fn ids_of_new_contacts_follow_the_newest_id_even_if_its_time_is_ahead() {
    let hour_ahead = (Uuid::now_v7().as_u128() >> 80) + 3_600_000;
    let ahead = (hour_ahead << 80) | (7 << 76) | (0b10 << 62);
    let last_of_its_time = ahead | ((1 << 62) - 1) | (0xfff << 64);
    // The random part is used up: the next id has a later time.
    for newest in [ahead, last_of_its_time, 0].map(Uuid::from_u128) {
        let mut account = AccountFixture::with_contacts(&[]);
        account.unit_of_work.set_newest_id(newest);
        let outcomes = account.apply(&[1, 2, 3].map(|_| create(r#"{"first_name": "A"}"#)));
        let ids: Vec<_> = outcomes.iter().flatten().map(|written| written.contact.id).collect();
        assert!(newest < ids[0] && ids[0] < ids[1] && ids[1] < ids[2], "{newest}: {ids:?}");
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
    }
}
