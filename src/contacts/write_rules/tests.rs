//! Tests of every rule of every write, without a database.

use crate::contacts::unit_of_work::fixtures::*;
use crate::contacts::{
    ChangeKind, Collision, ContactPatch, ContactTarget, OnArchived, Precondition, Preconditions, UnmetPrecondition,
    Upsert, Write, WriteOutcome, WriteRejection, version_part,
};
use crate::fields::{Value, system};

#[test]
fn creation_is_recorded_at_the_next_provisional_position() {
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A"}"#]);
    let written = account.apply_one(create(r#"{"first_name": "B", "badge": "b"}"#)).expect("the contact is created");
    assert!(written.created);
    assert_eq!((written.contact.version, written.contact.position, written.changed_at), (1, -1, Some(-1)));
    let [change] = account.unit_of_work.changes() else { panic!("expected one change") };
    assert_eq!((change.kind, change.position, change.previous_position), (ChangeKind::Created, -1, 0));
    assert_eq!((change.contact_id, change.at), (written.contact.id, written.contact.updated_at));
    assert_eq!((change.actor.as_deref(), change.before.is_none()), (Some("u1"), true));
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!((effects.created.len(), effects.updated.len(), effects.keys_removed.len()), (1, 0, 0));
    assert_eq!(effects.keys_added, [(written.contact.id, key(BADGE, "b"), true)]);
}

#[test]
fn duplicate_keys_are_rejected_with_every_holder_and_change_nothing() {
    let mut account =
        AccountFixture::with_contacts(&[r#"{"email": "a@b.cd"}"#, r#"{"first_name": "B", "badge": "b"}"#]);
    let rejection = account
        .apply_one(create(r#"{"badge": "b", "email": "A@B.cd", "external_id": "free"}"#))
        .expect_err("two keys are taken");
    let expected = [(system::EMAIL, account.id(0)), (BADGE, account.id(1))];
    let expected = expected.map(|(field, existing_id)| Collision { field, existing_id: Some(existing_id) });
    assert_eq!(rejection.reason, WriteRejection::Duplicate(expected.into()));
    assert_eq!(rejection.contact, None);
    let target = ContactTarget::Id(account.id(1));
    let rejected = account.apply_one(update(target, r#"{"email": "a@b.cd"}"#)).expect_err("the email is taken");
    assert_eq!(rejected.reason, duplicate_rejection(system::EMAIL, account.id(0)));
    assert_eq!(rejected.contact, Some(account.id(1)));
    assert!(account.unit_of_work.changes().is_empty());
    // The rejected creation has not claimed the free key either.
    assert!(account.apply_one(create(r#"{"first_name": "C", "external_id": "free"}"#)).is_ok());
}

#[test]
fn update_changes_only_the_values_sent() {
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "a", "email": "a@b.cd"}"#]);
    let id = account.id(0);
    for same in ["{}", r#"{"badge": "a"}"#, r#"{"last_name": null}"#] {
        let written = account.apply_one(update(by_badge("a"), same)).expect("equal values are accepted");
        assert_eq!((written.contact.version, written.created), (1, false), "{same}");
    }
    assert_eq!(account.unit_of_work.effects(&account.registry).updated.len(), 0);
    let written = account
        .apply_one(update(ContactTarget::Id(id), r#"{"badge": "b", "email": "A@b.cd"}"#))
        .expect("the contact is updated");
    assert_eq!((written.contact.version, written.contact.position), (2, -1));
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!(
        effects.updated.iter().map(|updated| (updated.before.version, updated.now.version)).collect::<Vec<_>>(),
        [(1, 2)]
    );
    // An email that differs only in case is the same key.
    assert_eq!(effects.keys_removed, [(id, key(BADGE, "a"))]);
    assert_eq!(effects.keys_added, [(id, key(BADGE, "b"), true)]);
}

#[test]
fn key_can_be_claimed_only_after_its_holder_releases_it() {
    let mut account =
        AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "k"}"#, r#"{"first_name": "B"}"#]);
    let (a, b) = (account.id(0), account.id(1));
    let claim = |id| update(ContactTarget::Id(id), r#"{"badge": "k"}"#);
    let outcomes = account.apply(&[
        claim(b),
        update(by_badge("k"), r#"{"badge": null}"#),
        update(by_badge("k"), r#"{"last_name": "nobody's"}"#),
        claim(b),
        claim(a),
        update(by_badge("k"), r#"{"last_name": "B's"}"#),
    ]);
    let (held_by_a, held_by_b) = (duplicate_rejection(BADGE, a), duplicate_rejection(BADGE, b));
    let expected = [Some(&held_by_a), None, Some(&WriteRejection::NotFound), None, Some(&held_by_b), None];
    assert_eq!(rejections(&outcomes), expected);
    assert_eq!(outcomes[5].as_ref().expect("the contact is updated").contact.id, b);
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!(effects.keys_removed, [(a, key(BADGE, "k"))]);
    assert_eq!(effects.keys_added, [(b, key(BADGE, "k"), true)]);
}

#[test]
fn upsert_creates_once_and_then_updates() {
    let mut account = AccountFixture::with_contacts(&[]);
    let outcomes = account.apply(&[
        upsert("k", "{}"),
        upsert("k", r#"{"first_name": "A"}"#),
        upsert("k", r#"{"last_name": "B", "badge": "k"}"#),
        upsert("k", "{}"),
    ]);
    assert_eq!(rejection(&outcomes[0]), Some(&WriteRejection::Incomplete));
    let written: Vec<_> = outcomes.iter().flatten().collect();
    assert_eq!(written.iter().map(|written| written.created).collect::<Vec<_>>(), [true, false, false]);
    assert!(written.iter().all(|other| other.contact.id == written[0].contact.id));
    assert_eq!(written[2].contact.values.text(BADGE), Some("k"));
    assert_eq!(account.change_kinds(), [ChangeKind::Created, ChangeKind::Updated]);
    // The effect of all writes is one new contact in its last state.
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!((effects.created.len(), effects.updated.len(), effects.created[0].version), (1, 0, 2));
}

#[test]
fn upsert_names_a_new_contact_by_its_company_if_asked_to() {
    let mut account = AccountFixture::with_contacts(&[]);
    let upsert = |named_by_company| {
        let write = upsert_on_archived("k", r#"{"company_name": "Acme"}"#, OnArchived::Create);
        let Write::Upsert(upsert) = write else { return write };
        Write::Upsert(Upsert { named_by_company, ..upsert })
    };
    assert!(account.apply_one(upsert(false)).is_err());
    let created = account.apply_one(upsert(true)).expect("it is created").contact;
    assert_eq!(created.values.text(system::LAST_NAME), Some("Acme"));
}

#[test]
fn upsert_by_email_needs_no_other_identity() {
    let upsert = Upsert {
        key: key(system::EMAIL, "a@b.cd"),
        property_value: (system::EMAIL, Value::Text("A@b.cd".into())),
        patch: ContactPatch::default(),
        preconditions: Preconditions::default(),
        source_updated_at: None,
        on_archived: OnArchived::default(),
        named_by_company: false,
    };
    let mut account = AccountFixture::with_contacts(&[]);
    let written = account.apply_one(Write::Upsert(upsert.clone())).expect("the contact is created");
    assert_eq!(written.contact.values.text(system::EMAIL), Some("A@b.cd"));
    // The stored spelling changes only if `fields` contains the email.
    let again = Upsert { property_value: (system::EMAIL, Value::Text("a@B.CD".into())), ..upsert };
    let written = account.apply_one(Write::Upsert(again.clone())).expect("the contact exists");
    assert_eq!((written.created, written.contact.values.text(system::EMAIL)), (false, Some("A@b.cd")));
    let sent = Upsert { patch: patch(r#"{"email": "a@B.CD"}"#), ..again };
    let written = account.apply_one(Write::Upsert(sent)).expect("the contact is updated");
    assert_eq!(written.contact.values.text(system::EMAIL), Some("a@B.CD"));
}

#[test]
fn preconditions_limit_an_upsert_to_creation_or_update() {
    let with_preconditions = |if_match: Precondition, if_none_match: Precondition| {
        let Write::Upsert(upsert) = upsert("k", r#"{"last_name": "B"}"#) else { panic!("expected an upsert") };
        Write::Upsert(Upsert { preconditions: Preconditions { if_match, if_none_match }, ..upsert })
    };
    let stale = || Precondition::parse("\"stale\"").expect("an entity tag");
    let existing = [r#"{"first_name": "A", "badge": "k"}"#];
    for (contacts, if_match, if_none_match, expected) in [
        (&existing[..], Precondition::Exists, Precondition::None, None),
        (&existing, Precondition::None, Precondition::Exists, Some(UnmetPrecondition::Exists)),
        (&existing, stale(), Precondition::None, Some(UnmetPrecondition::OtherVersion)),
        (&existing, Precondition::None, stale(), None),
        (&[], Precondition::Exists, Precondition::None, Some(UnmetPrecondition::Missing)),
        (&[], stale(), Precondition::None, Some(UnmetPrecondition::Missing)),
        (&[], Precondition::Version(1), Precondition::None, Some(UnmetPrecondition::Missing)),
        (&[], Precondition::None, Precondition::Exists, None),
        (&[], Precondition::None, stale(), None),
    ] {
        let outcome = AccountFixture::with_contacts(contacts)
            .apply_one(with_preconditions(if_match.clone(), if_none_match.clone()));
        assert_eq!(
            rejection(&outcome),
            expected.map(WriteRejection::PreconditionFailed).as_ref(),
            "{} existing, If-Match {if_match:?}, If-None-Match {if_none_match:?}",
            contacts.len()
        );
    }
}

#[test]
fn archived_contact_rejects_updates_and_releases_its_keys() {
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "k"}"#]);
    let id = account.id(0);
    let outcomes = account.apply(&[
        archive(by_badge("k")),
        archive(ContactTarget::Id(id)),
        archive(by_badge("k")),
        update(ContactTarget::Id(id), "{}"),
        update(by_badge("k"), "{}"),
        upsert("k", r#"{"first_name": "B"}"#),
        restore(id),
    ]);
    let new = outcomes[5].as_ref().expect("the contact is created");
    assert!(new.created && new.contact.id != id);
    let taken = duplicate_rejection(BADGE, new.contact.id);
    let (archived, missing) = (&WriteRejection::Archived, &WriteRejection::NotFound);
    let expected = [None, Some(missing), Some(missing), Some(archived), Some(missing), None, Some(&taken)];
    assert_eq!(rejections(&outcomes), expected);
    let archival =
        outcomes[0].as_ref().expect("the contact is archived").contact.archival.clone().expect("an archival");
    assert_eq!(archival.by.as_deref(), Some("u1"));
    // The key of the archived contact is stored as the key of an inactive contact.
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!(effects.keys_removed, [(id, key(BADGE, "k"))]);
    let mut keys_added = effects.keys_added.clone();
    keys_added.sort_by_key(|(_, _, is_active)| *is_active);
    assert_eq!(keys_added, [(id, key(BADGE, "k"), false), (new.contact.id, key(BADGE, "k"), true)]);
}

#[test]
fn restored_contact_claims_its_keys_again() {
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "k"}"#]);
    account.stored[0] = account.stored[0].archived(None, &account.registry);
    let id = account.id(0);
    let outcomes = account.apply(&[
        update(by_badge("k"), "{}"),
        restore(id),
        restore(id),
        create(r#"{"first_name": "B", "badge": "k"}"#),
    ]);
    let taken = duplicate_rejection(BADGE, id);
    assert_eq!(rejections(&outcomes), [Some(&WriteRejection::NotFound), None, None, Some(&taken)]);
    assert_eq!(
        outcomes[1].as_ref().map(|written| written.contact.version),
        outcomes[2].as_ref().map(|written| written.contact.version)
    );
    assert_eq!(account.change_kinds(), [ChangeKind::Restored]);
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!(
        (effects.keys_removed, effects.keys_added),
        (vec![(id, key(BADGE, "k"))], vec![(id, key(BADGE, "k"), true)])
    );
}

#[test]
fn preconditions_are_checked_against_the_state_after_earlier_writes() {
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A"}"#]);
    let (id, tag) = (account.id(0), format!("\"{}.x\"", version_part(&account.stored[0])));
    let if_match = Precondition::parse(&tag).expect("an entity tag");
    let preconditions = Preconditions { if_match, ..Preconditions::default() };
    let preconditions = || preconditions.clone();
    let target = || ContactTarget::Id(id);
    let update = |fields: &str| Write::Update {
        target: target(),
        patch: patch(fields),
        preconditions: preconditions(),
        source_updated_at: None,
    };
    let outcomes = account.apply(&[
        update("{}"),
        update(r#"{"last_name": "B"}"#),
        update("{}"),
        Write::Archive { target: target(), preconditions: preconditions() },
        Write::Purge { id, preconditions: preconditions() },
        archive(target()),
        // The rejection of an archived contact comes before its preconditions.
        update("{}"),
        Write::Restore { id, preconditions: preconditions() },
        Write::Purge { id, preconditions: preconditions() },
        Write::Archive { target: target(), preconditions: preconditions() },
    ]);
    let failed = Some(&WriteRejection::PreconditionFailed(UnmetPrecondition::OtherVersion));
    let (archived, missing) = (Some(&WriteRejection::Archived), Some(&WriteRejection::NotFound));
    let expected = [None, None, failed, failed, failed, None, archived, failed, failed, missing];
    assert_eq!(rejections(&outcomes), expected);
}

#[test]
fn purge_removes_all_values_and_releases_the_keys() {
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "k"}"#]);
    let id = account.id(0);
    let outcomes = account.apply(&[
        update(ContactTarget::Id(id), r#"{"last_name": "B"}"#),
        purge(id),
        purge(id),
        update(ContactTarget::Id(id), "{}"),
        restore(id),
        upsert("k", r#"{"first_name": "C"}"#),
    ]);
    let missing = Some(&WriteRejection::NotFound);
    assert_eq!(rejections(&outcomes), [None, None, missing, missing, missing, None]);
    let changes: Vec<_> = account.unit_of_work.changes().iter().filter(|change| change.contact_id == id).collect();
    assert_eq!(changes.iter().map(|change| change.kind).collect::<Vec<_>>(), [ChangeKind::Updated, ChangeKind::Purged]);
    assert!(changes.iter().all(|change| change.before.is_none() && change.after.is_none()));
    assert_eq!((changes[1].previous_position, changes[1].position), (-1, -2));
    assert!(changes[1].at >= changes[0].at);
    let effects = account.unit_of_work.effects(&account.registry);
    // The purge removes the values of the last stored change and all earlier changes.
    let purged: Vec<_> = effects.purged.iter().map(|purged| (purged.id, purged.position)).collect();
    assert_eq!((purged, effects.updated.len()), (vec![(id, 1)], 0));
    assert_eq!((effects.keys_removed, effects.keys_added.len()), (vec![(id, key(BADGE, "k"))], 1));
}

#[test]
fn contact_created_and_purged_in_one_batch_leaves_only_two_changes() {
    let mut account = AccountFixture::with_contacts(&[]);
    let id =
        account.apply_one(create(r#"{"first_name": "A", "badge": "k"}"#)).expect("the contact is created").contact.id;
    account.apply_one(purge(id)).expect("the contact is purged");
    assert_eq!(account.change_kinds(), [ChangeKind::Created, ChangeKind::Purged]);
    let effects = account.unit_of_work.effects(&account.registry);
    assert!(effects.created.is_empty() && effects.purged.is_empty());
    assert!(effects.keys_added.is_empty() && effects.keys_removed.is_empty());
    assert!(account.apply_one(create(r#"{"first_name": "B", "badge": "k"}"#)).is_ok());
}

fn upsert_on_archived(badge: &str, fields: &str, on_archived: OnArchived) -> Write {
    let Write::Upsert(upsert) = upsert(badge, fields) else { panic!("expected an upsert") };
    Write::Upsert(Upsert { on_archived, ..upsert })
}

/// An account with a contact that was archived and another one that was archived later, both with the badge `k`.
fn account_with_archived_contacts() -> AccountFixture {
    let contact = r#"{"first_name": "A", "badge": "k", "email": "a@b.cd"}"#;
    let mut account = AccountFixture::with_contacts(&[contact, contact]);
    for contact in &mut account.stored {
        *contact = contact.archived(None, &account.registry);
    }
    let archival = account.stored[1].archival.as_mut().expect("an archival");
    archival.at += chrono::TimeDelta::seconds(1);
    account
}

#[test]
fn upsert_beside_an_archived_contact_creates_restores_or_is_refused() {
    let fields = r#"{"last_name": "B"}"#;
    let mut account = account_with_archived_contacts();
    let newest = account.id(1);
    let refused = account.apply_one(upsert_on_archived("k", fields, OnArchived::Refuse)).expect_err("it is refused");
    let holder = Collision { field: BADGE, existing_id: Some(newest) };
    assert_eq!(refused.reason, WriteRejection::ArchivedHolder(holder));
    let restored = account.apply_one(upsert_on_archived("k", fields, OnArchived::Restore)).expect("it is restored");
    assert_eq!((restored.contact.id, restored.created, restored.contact.version), (newest, false, 4));
    assert!(restored.contact.archival.is_none() && restored.before.is_some_and(|before| before.archival.is_some()));
    assert_eq!(account.change_kinds(), [ChangeKind::Restored, ChangeKind::Updated]);
    let effects = account.unit_of_work.effects(&account.registry);
    assert_eq!((effects.updated.len(), effects.keys_added.len()), (1, 2));
    // The contact that was archived first is beside the next one.
    let mut account = account_with_archived_contacts();
    let outcomes = account.apply(&[
        purge(account.id(1)),
        upsert_on_archived("k", r#"{"first_name": "C"}"#, OnArchived::Create),
        upsert_on_archived("k", "{}", OnArchived::Refuse),
    ]);
    let created = outcomes[1].as_ref().expect("it is created");
    assert_eq!((created.created, created.created_beside), (true, Some(account.id(0))));
    assert_eq!(outcomes[2].as_ref().expect("an active contact has the key").created_beside, None);
    // A contact that an earlier write of the batch archives was archived last.
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "k"}"#]);
    let outcomes = account.apply(&[
        archive(by_badge("k")),
        upsert_on_archived("k", "{}", OnArchived::Restore),
        archive(by_badge("k")),
    ]);
    let ids: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().expect("accepted").contact.id).collect();
    assert_eq!(ids, [account.id(0); 3]);
    assert_eq!(account.change_kinds(), [ChangeKind::Archived, ChangeKind::Restored, ChangeKind::Archived]);
}

#[test]
fn restoring_upsert_claims_only_the_keys_that_the_contact_has_afterwards() {
    let mut account = account_with_archived_contacts();
    account.apply_one(create(r#"{"email": "a@b.cd"}"#)).expect("the email is free");
    let restore = |fields| upsert_on_archived("k", fields, OnArchived::Restore);
    let rejected = account.apply_one(restore("{}")).expect_err("the email is taken");
    assert!(matches!(rejected.reason, WriteRejection::Duplicate(_)));
    assert_eq!(rejected.contact, Some(account.id(1)));
    let restored = account.apply_one(restore(r#"{"email": "b@b.cd"}"#)).expect("the new email is free");
    assert_eq!(restored.contact.values.text(system::EMAIL), Some("b@b.cd"));
}

#[test]
fn change_that_is_older_than_the_newest_of_its_source_is_ignored() {
    let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0);
    let mut account = AccountFixture::with_contacts(&[r#"{"first_name": "A", "badge": "k"}"#]);
    let id = account.id(0);
    let update = |seconds, fields: &str, if_match| Write::Update {
        target: ContactTarget::Id(id),
        patch: patch(fields),
        preconditions: Preconditions { if_match, ..Preconditions::default() },
        source_updated_at: at(seconds),
    };
    let any = || Precondition::None;
    let outcomes = account.apply(&[
        update(10, r#"{"last_name": "10"}"#, any()),
        update(9, r#"{"last_name": "9"}"#, any()),
        update(10, r#"{"last_name": "10 again"}"#, any()),
        // Equal values are a change of this time, too.
        update(12, "{}", any()),
        update(11, r#"{"last_name": "11"}"#, any()),
        update(1, "{}", Precondition::Version(1)),
        archive(ContactTarget::Id(id)),
        update(1, "{}", any()),
    ]);
    let is_stale = |outcome: &WriteOutcome| outcome.as_ref().map(|written| written.is_stale).ok();
    let expected = [Some(false), Some(true), Some(false), Some(false), Some(true), None, Some(false), None];
    assert_eq!(outcomes.iter().map(is_stale).collect::<Vec<_>>(), expected);
    assert_eq!(account.unit_of_work.changes().len(), 3);
    let contact = &outcomes[4].as_ref().expect("accepted").contact;
    assert_eq!(contact.values.text(system::LAST_NAME), Some("10 again"));
    let times: Vec<_> = account.unit_of_work.source_times.changes().map(|(_, time)| time).collect();
    assert_eq!(times, [at(12).expect("a time")]);
}
