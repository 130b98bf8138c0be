//! Every rule of every write, without a database.

use super::samples::*;
use super::*;
use crate::contacts::etag;
use crate::fields::{Value, system};

#[test]
fn a_creation_is_told_with_its_place_in_the_feed() {
    let mut account = Account::with(&[r#"{"first_name": "A"}"#]);
    let written = account.one(create(r#"{"first_name": "B", "badge": "b"}"#)).expect("created");
    assert!(written.created);
    assert_eq!((written.contact.version, written.contact.position, account.workspace.position()), (1, 2, 2));
    let [change] = account.workspace.changes() else { panic!("one change") };
    assert_eq!((change.kind, change.position, change.previous), (ChangeKind::Created, 2, 0));
    assert_eq!((change.contact_id, change.at), (written.contact.id, written.contact.updated_at));
    assert_eq!((change.actor.as_deref(), change.before.is_none()), (Some("u1"), true));
    let effects = account.workspace.effects(&account.registry);
    assert_eq!((effects.created.len(), effects.updated.len(), effects.keys_gone.len()), (1, 0, 0));
    assert_eq!(effects.keys_new, [(written.contact.id, key(BADGE, "b"), true)]);
}

#[test]
fn a_clash_names_every_holder_and_changes_nothing() {
    let mut account = Account::with(&[r#"{"email": "a@b.cd"}"#, r#"{"first_name": "B", "badge": "b"}"#]);
    let refusal =
        account.one(create(r#"{"badge": "b", "email": "A@B.cd", "external_id": "free"}"#)).expect_err("a clash");
    let expected = [(system::EMAIL, account.id(0)), (BADGE, account.id(1))];
    let expected = expected.map(|(field, existing_id)| Collision { field, existing_id: Some(existing_id) });
    assert_eq!(refusal, WriteRefusal::Duplicate(expected.into()));
    let target = Target::Id(account.id(1));
    assert_eq!(account.one(update(target, r#"{"email": "a@b.cd"}"#)).err(), Some(taken(system::EMAIL, account.id(0))));
    assert_eq!((account.workspace.changes().len(), account.workspace.position()), (0, 2));
    // Neither did the refused creation keep the key that was free.
    assert!(account.one(create(r#"{"first_name": "C", "external_id": "free"}"#)).is_ok());
}

#[test]
fn an_update_changes_what_is_sent_and_no_more() {
    let mut account = Account::with(&[r#"{"first_name": "A", "badge": "a", "email": "a@b.cd"}"#]);
    let id = account.id(0);
    for same in ["{}", r#"{"badge": "a"}"#, r#"{"last_name": null}"#] {
        let written = account.one(update(by_badge("a"), same)).expect("nothing to refuse");
        assert_eq!((written.contact.version, written.created), (1, false), "{same}");
    }
    assert_eq!(account.workspace.effects(&account.registry).updated.len(), 0);
    let written = account.one(update(Target::Id(id), r#"{"badge": "b", "email": "A@b.cd"}"#)).expect("changed");
    assert_eq!((written.contact.version, written.contact.position), (2, 2));
    let effects = account.workspace.effects(&account.registry);
    assert_eq!(effects.updated.iter().map(|(base, contact)| (*base, contact.version)).collect::<Vec<_>>(), [(1, 2)]);
    // An email in another spelling is the same key.
    assert_eq!(effects.keys_gone, [(id, key(BADGE, "a"))]);
    assert_eq!(effects.keys_new, [(id, key(BADGE, "b"), true)]);
}

#[test]
fn several_updates_of_a_contact_chain() {
    let mut account = Account::with(&[r#"{"first_name": "A", "badge": "a"}"#]);
    let id = account.id(0);
    let writes = ["b", "c", "a"].map(|badge| update(Target::Id(id), &format!(r#"{{"badge": "{badge}"}}"#)));
    let outcomes = account.apply(&writes);
    assert_eq!(outcomes.iter().flatten().map(|written| written.contact.version).collect::<Vec<_>>(), [2, 3, 4]);
    let chain: Vec<_> = account.workspace.changes().iter().map(|change| (change.previous, change.position)).collect();
    assert_eq!(chain, [(1, 2), (2, 3), (3, 4)]);
    for pair in account.workspace.changes().windows(2) {
        assert_eq!(pair[0].after, pair[1].before);
    }
    // The key is back where it was: nothing of it is to be stored.
    let effects = account.workspace.effects(&account.registry);
    assert_eq!((effects.updated[0].0, effects.updated[0].1.version), (1, 4));
    assert!(effects.keys_gone.is_empty() && effects.keys_new.is_empty());
}

#[test]
fn a_key_is_handed_on_only_when_it_is_free() {
    let mut account = Account::with(&[r#"{"first_name": "A", "badge": "k"}"#, r#"{"first_name": "B"}"#]);
    let (a, b) = (account.id(0), account.id(1));
    let claim = |id| update(Target::Id(id), r#"{"badge": "k"}"#);
    let outcomes = account.apply(&[
        claim(b),
        update(by_badge("k"), r#"{"badge": null}"#),
        update(by_badge("k"), r#"{"last_name": "nobody's"}"#),
        claim(b),
        claim(a),
        update(by_badge("k"), r#"{"last_name": "B's"}"#),
    ]);
    let (of_a, of_b) = (taken(BADGE, a), taken(BADGE, b));
    let expected = [Some(&of_a), None, Some(&WriteRefusal::NotFound), None, Some(&of_b), None];
    assert_eq!(refusals(&outcomes), expected);
    assert_eq!(outcomes[5].as_ref().expect("written").contact.id, b);
    let effects = account.workspace.effects(&account.registry);
    assert_eq!(effects.keys_gone, [(a, key(BADGE, "k"))]);
    assert_eq!(effects.keys_new, [(b, key(BADGE, "k"), true)]);
}

#[test]
fn an_upsert_creates_once_and_then_updates() {
    let mut account = Account::with(&[]);
    let outcomes = account.apply(&[
        upsert("k", "{}"),
        upsert("k", r#"{"first_name": "A"}"#),
        upsert("k", r#"{"last_name": "B", "badge": "k"}"#),
        upsert("k", "{}"),
    ]);
    assert_eq!(outcomes[0].as_ref().err(), Some(&WriteRefusal::Incomplete));
    let written: Vec<_> = outcomes.iter().flatten().collect();
    assert_eq!(written.iter().map(|written| written.created).collect::<Vec<_>>(), [true, false, false]);
    assert!(written.iter().all(|other| other.contact.id == written[0].contact.id));
    assert_eq!(written[2].contact.values.text(BADGE), Some("k"));
    assert_eq!(account.kinds(), [ChangeKind::Created, ChangeKind::Updated]);
    // As a whole it is one new contact, in its last state.
    let effects = account.workspace.effects(&account.registry);
    assert_eq!((effects.created.len(), effects.updated.len(), effects.created[0].version), (1, 0, 2));
}

#[test]
fn an_email_in_the_path_is_enough_for_a_new_contact() {
    let upsert = Upsert {
        key: key(system::EMAIL, "a@b.cd"),
        named: (system::EMAIL, Value::Text("A@b.cd".into())),
        draft: Draft::default(),
        precondition: Precondition::None,
        unless: Precondition::None,
    };
    let mut account = Account::with(&[]);
    let written = account.one(Write::Upsert(upsert.clone())).expect("created");
    assert_eq!(written.contact.values.text(system::EMAIL), Some("A@b.cd"));
    // The stored spelling stays unless the fields send it.
    let again = Upsert { named: (system::EMAIL, Value::Text("a@B.CD".into())), ..upsert };
    let written = account.one(Write::Upsert(again.clone())).expect("there");
    assert_eq!((written.created, written.contact.values.text(system::EMAIL)), (false, Some("A@b.cd")));
    let sent = Upsert { draft: draft(r#"{"email": "a@B.CD"}"#), ..again };
    let written = account.one(Write::Upsert(sent)).expect("changed");
    assert_eq!(written.contact.values.text(system::EMAIL), Some("a@B.CD"));
}

#[test]
fn preconditions_choose_between_creating_and_updating() {
    let with = |precondition: Precondition, unless: Precondition| {
        let Write::Upsert(upsert) = upsert("k", r#"{"last_name": "B"}"#) else { panic!("an upsert") };
        Write::Upsert(Upsert { precondition, unless, ..upsert })
    };
    let stale = || Precondition::Matches(vec!["\"stale\"".into()]);
    let there = [r#"{"first_name": "A", "badge": "k"}"#];
    for (contacts, precondition, unless, is_done) in [
        (&there[..], Precondition::Exists, Precondition::None, true),
        (&there, Precondition::None, Precondition::Exists, false),
        (&there, stale(), Precondition::None, false),
        (&there, Precondition::None, stale(), true),
        (&[], Precondition::Exists, Precondition::None, false),
        (&[], stale(), Precondition::None, false),
        (&[], Precondition::None, Precondition::Exists, true),
        (&[], Precondition::None, stale(), true),
    ] {
        let outcome = Account::with(contacts).one(with(precondition.clone(), unless.clone()));
        let expected = (!is_done).then_some(WriteRefusal::PreconditionFailed);
        assert_eq!(outcome.err(), expected, "{} there, {precondition:?}, unless {unless:?}", contacts.len());
    }
}

#[test]
fn what_is_archived_takes_no_update_and_holds_no_key() {
    let mut account = Account::with(&[r#"{"first_name": "A", "badge": "k"}"#]);
    let id = account.id(0);
    let outcomes = account.apply(&[
        archive(by_badge("k")),
        archive(Target::Id(id)),
        archive(by_badge("k")),
        update(Target::Id(id), "{}"),
        update(by_badge("k"), "{}"),
        upsert("k", r#"{"first_name": "B"}"#),
        restore(id),
    ]);
    let new = outcomes[5].as_ref().expect("created");
    assert!(new.created && new.contact.id != id);
    let clash = taken(BADGE, new.contact.id);
    let (archived, missing) = (&WriteRefusal::Archived, &WriteRefusal::NotFound);
    let expected = [None, Some(missing), Some(missing), Some(archived), Some(missing), None, Some(&clash)];
    assert_eq!(refusals(&outcomes), expected);
    let archival = outcomes[0].as_ref().expect("archived").contact.archival.clone().expect("archived");
    assert_eq!(archival.by.as_deref(), Some("u1"));
    // The archived contact keeps its key as one that is not active.
    let effects = account.workspace.effects(&account.registry);
    assert_eq!(effects.keys_gone, [(id, key(BADGE, "k"))]);
    let mut keys_new = effects.keys_new.clone();
    keys_new.sort_by_key(|(_, _, is_active)| *is_active);
    assert_eq!(keys_new, [(id, key(BADGE, "k"), false), (new.contact.id, key(BADGE, "k"), true)]);
}

#[test]
fn a_restored_contact_has_its_keys_again() {
    let mut account = Account::with(&[r#"{"first_name": "A", "badge": "k"}"#]);
    account.there[0] = account.there[0].archived(None, &account.registry);
    let id = account.id(0);
    let outcomes = account.apply(&[
        update(by_badge("k"), "{}"),
        restore(id),
        restore(id),
        create(r#"{"first_name": "B", "badge": "k"}"#),
    ]);
    let clash = taken(BADGE, id);
    assert_eq!(refusals(&outcomes), [Some(&WriteRefusal::NotFound), None, None, Some(&clash)]);
    assert_eq!(
        outcomes[1].as_ref().map(|written| written.contact.version),
        outcomes[2].as_ref().map(|written| written.contact.version)
    );
    assert_eq!(account.kinds(), [ChangeKind::Restored]);
    let effects = account.workspace.effects(&account.registry);
    assert_eq!((effects.keys_gone, effects.keys_new), (vec![(id, key(BADGE, "k"))], vec![(id, key(BADGE, "k"), true)]));
}

#[test]
fn a_precondition_is_held_against_the_state_at_its_turn() {
    let mut account = Account::with(&[r#"{"first_name": "A"}"#]);
    let (id, tag) = (account.id(0), Precondition::Matches(vec![etag(&account.there[0])]));
    let update =
        |fields: &str| Write::Update { target: Target::Id(id), draft: draft(fields), precondition: tag.clone() };
    let outcomes = account.apply(&[
        update("{}"),
        update(r#"{"last_name": "B"}"#),
        update("{}"),
        Write::Archive { target: Target::Id(id), precondition: tag.clone() },
        archive(Target::Id(id)),
        // What is archived is said first.
        update("{}"),
        Write::Restore { id, precondition: tag.clone() },
        Write::Archive { target: Target::Id(id), precondition: tag.clone() },
    ]);
    let (failed, archived, missing) =
        (&WriteRefusal::PreconditionFailed, &WriteRefusal::Archived, &WriteRefusal::NotFound);
    let expected = [None, None, Some(failed), Some(failed), None, Some(archived), Some(failed), Some(missing)];
    assert_eq!(refusals(&outcomes), expected);
}

#[test]
fn a_purge_leaves_no_value_and_frees_the_keys() {
    let mut account = Account::with(&[r#"{"first_name": "A", "badge": "k"}"#]);
    let id = account.id(0);
    let outcomes = account.apply(&[
        update(Target::Id(id), r#"{"last_name": "B"}"#),
        Write::Purge { id },
        Write::Purge { id },
        update(Target::Id(id), "{}"),
        restore(id),
        upsert("k", r#"{"first_name": "C"}"#),
    ]);
    let missing = Some(&WriteRefusal::NotFound);
    assert_eq!(refusals(&outcomes), [None, None, missing, missing, missing, None]);
    let of_purged: Vec<_> = account.workspace.changes().iter().filter(|change| change.contact_id == id).collect();
    assert_eq!(
        of_purged.iter().map(|change| change.kind).collect::<Vec<_>>(),
        [ChangeKind::Updated, ChangeKind::Purged]
    );
    assert!(of_purged.iter().all(|change| change.before.is_none() && change.after.is_none()));
    assert_eq!((of_purged[1].previous, of_purged[1].position), (2, 3));
    assert!(of_purged[1].at >= of_purged[0].at);
    let effects = account.workspace.effects(&account.registry);
    // The last change that is stored of it already: from there on all have to go.
    assert_eq!((effects.purged, effects.updated.len()), (vec![(id, 1)], 0));
    assert_eq!((effects.keys_gone, effects.keys_new.len()), (vec![(id, key(BADGE, "k"))], 1));
}

#[test]
fn what_came_and_went_in_one_go_leaves_only_its_trace() {
    let mut account = Account::with(&[]);
    let id = account.one(create(r#"{"first_name": "A", "badge": "k"}"#)).expect("created").contact.id;
    account.one(Write::Purge { id }).expect("purged");
    assert_eq!(account.kinds(), [ChangeKind::Created, ChangeKind::Purged]);
    let effects = account.workspace.effects(&account.registry);
    assert!(effects.created.is_empty() && effects.purged.is_empty());
    assert!(effects.keys_new.is_empty() && effects.keys_gone.is_empty());
    assert!(account.one(create(r#"{"first_name": "B", "badge": "k"}"#)).is_ok());
}

#[test]
fn looking_up_ends_and_asks_for_nothing_twice() {
    let there = [r#"{"first_name": "A", "badge": "a", "email": "a@b.cd"}"#, r#"{"first_name": "B", "badge": "b"}"#];
    for (writes, rounds) in [
        (vec![create(r#"{"first_name": "C"}"#)], 0),
        (vec![create(r#"{"badge": "c"}"#), update(Target::Id(Uuid::nil()), "{}")], 1),
        // From a key to its holder; from a contact that is to be restored to its keys.
        (vec![upsert("a", r#"{"email": "n@b.cd"}"#), update(by_badge("nobody"), "{}")], 2),
        (vec![archive(by_badge("b")), Write::Purge { id: Uuid::nil() }], 2),
    ] {
        assert_eq!(Account::with(&there).load(&writes), rounds, "{writes:?}");
    }
    let mut account = Account::with(&there);
    account.there[0] = account.there[0].archived(None, &account.registry);
    let id = account.id(0);
    assert_eq!(account.load(&[restore(id), restore(id), update(by_badge("b"), r#"{"badge": "a"}"#)]), 2);
    assert_eq!(account.load(&[restore(id)]), 0);
}

#[test]
fn what_is_known_already_is_not_replaced() {
    let mut account = Account::with(&[r#"{"first_name": "A", "badge": "k"}"#]);
    let id = account.id(0);
    account.one(update(Target::Id(id), r#"{"badge": null, "first_name": "B"}"#)).expect("changed");
    account.workspace.know_contact(id, Some(account.there[0].clone()));
    account.workspace.know_holder(key(BADGE, "k"), Some(id));
    let written = account.one(upsert("k", r#"{"first_name": "C"}"#)).expect("created");
    assert!(written.created);
    let written = account.one(update(Target::Id(id), "{}")).expect("there");
    assert_eq!(written.contact.values.text(system::FIRST_NAME), Some("B"));
}

#[test]
fn the_next_workspace_knows_what_the_writes_before_have_changed() {
    let there = [r#"{"first_name": "A", "badge": "a"}"#, r#"{"first_name": "B", "badge": "b"}"#];
    let mut account = Account::with(&there);
    let (a, b) = (account.id(0), account.id(1));
    let outcomes = account.apply(&[
        update(Target::Id(a), r#"{"badge": null}"#),
        update(Target::Id(b), r#"{"badge": "a"}"#),
        upsert("c", r#"{"first_name": "C"}"#),
        create(r#"{"badge": "c", "first_name": "refused"}"#),
    ]);
    let created = outcomes[2].as_ref().expect("created").contact.id;
    account.workspace = account.workspace.next();
    assert!(account.workspace.changes().is_empty() && account.workspace.is_plain());
    assert_eq!(account.workspace.position(), 5);
    // What is looked up meanwhile is as it was before.
    let outcomes = account.apply(&[
        upsert("a", r#"{"last_name": "of B"}"#),
        upsert("c", r#"{"last_name": "of C"}"#),
        upsert("b", r#"{"first_name": "D"}"#),
        update(Target::Id(a), r#"{"badge": "c"}"#),
    ]);
    assert_eq!(refusals(&outcomes), [None, None, None, Some(&taken(BADGE, created))]);
    let ids: Vec<_> = outcomes.iter().flatten().map(|written| (written.contact.id, written.created)).collect();
    assert_eq!(ids[..2], [(b, false), (created, false)]);
    assert!(ids[2].1);
    let effects = account.workspace.effects(&account.registry);
    let updated: Vec<_> = effects.updated.iter().map(|(base, contact)| (contact.id, *base, contact.version)).collect();
    assert_eq!((updated.len(), effects.created.len()), (2, 1));
    assert!(updated.contains(&(b, 2, 3)) && updated.contains(&(created, 1, 2)), "{updated:?}");
    assert_eq!((effects.keys_gone, effects.keys_new), (vec![], vec![(ids[2].0, key(BADGE, "b"), true)]));
}
