//! Tests of what several reads of an account have found.

use uuid::Uuid;

use super::{AccountBatch, AccountState};
use crate::contacts::{Contact, ContactPatch};
use crate::fields::RegistryVersion;
use crate::repository::writer::write_job::PositionUse;

fn state(registry: i64, position: Option<i64>) -> AccountState {
    AccountState { registry: RegistryVersion::from_stored(registry), position }
}

fn batch_after_reads(states: &[Option<AccountState>]) -> AccountBatch {
    let mut batch = AccountBatch::new(Uuid::from_u128(1), vec![], false);
    states.iter().for_each(|state| batch.set_account_state(*state));
    batch
}

#[test]
fn position_that_one_of_several_reads_has_found_is_needed_from_then_on() {
    let (unplaced, placed) = (state(1, None), state(1, Some(7)));
    assert_eq!(batch_after_reads(&[Some(unplaced), Some(unplaced)]).position_use(), PositionUse::Never);
    for states in [[unplaced, placed], [placed, unplaced], [placed, placed]] {
        let batch = batch_after_reads(&states.map(Some));
        assert!(!batch.is_stale());
        assert_eq!((batch.state, batch.position_use()), (Some(placed), PositionUse::Always));
    }
}

#[test]
fn reads_that_show_a_change_between_them_make_the_batch_stale() {
    let unplaced = Some(state(1, None));
    for states in [
        [Some(state(1, Some(7))), Some(state(1, Some(8)))],
        [unplaced, Some(state(2, None))],
        [None, unplaced],
        [unplaced, None],
    ] {
        assert!(batch_after_reads(&states).is_stale(), "{states:?}");
    }
    assert!(!batch_after_reads(&[None, None]).is_stale());
}

#[test]
fn contact_that_is_read_in_two_versions_makes_the_batch_stale() {
    let contact = |version| {
        let contact = Contact::new(&ContactPatch::default().with_id(Uuid::from_u128(2)));
        Contact { version, unloaded_bytes: None, ..contact }
    };
    for (second, is_stale) in [(Some(1), false), (Some(2), true), (None, true)] {
        let mut batch = batch_after_reads(&[Some(state(1, None))]);
        batch.add_loaded_contact(contact(1), "(0,1)".to_owned());
        match second {
            // It is read again with all custom fields.
            Some(version) => {
                let contact = Contact { unloaded_bytes: Some(0), ..contact(version) };
                batch.add_loaded_contact(contact, "(0,2)".to_owned());
            }
            None => batch.add_missing_contact(contact(1).id),
        }
        assert_eq!(batch.is_stale(), is_stale, "{second:?}");
    }
}
