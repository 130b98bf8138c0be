//! The place of a batch's changes in the change feed of their account.
//!
//! Writes are applied before the account is locked, so the positions of their changes are not known yet. Until then a
//! position is provisional: the negative number of the change in its batch (-1, -2, …). When the batch is stored, its
//! changes are placed after the account's last change, under the lock of the account.

use chrono::{DateTime, Utc};

use super::Contact;

/// The newest change of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastChange {
    /// The position in the change feed; 0 without a change.
    pub position: i64,
    /// The time of the change; `None` without a change.
    pub at: Option<DateTime<Utc>>,
}

impl LastChange {
    /// Returns the final position for a position that may be provisional.
    #[must_use]
    pub fn place_position(self, position: i64) -> i64 {
        if position < 0 { self.position - position } else { position }
    }

    /// Returns the final time of a change: the times of a feed never decrease, although the clocks of several instances
    /// can differ.
    #[must_use]
    pub fn place_time(self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.at.map_or(at, |last| last.max(at))
    }

    /// Returns the final state of a contact with a provisional position. `is_new`: the batch has created it. Returns `None`
    /// if its times stay the same.
    #[must_use]
    pub fn place_times(self, contact: &Contact, is_new: bool) -> Option<Contact> {
        let is_placed = |at| self.place_time(at) == at;
        if contact.position >= 0 || is_placed(contact.updated_at) && (!is_new || is_placed(contact.created_at)) {
            return None;
        }
        let mut placed = contact.clone();
        placed.updated_at = self.place_time(contact.updated_at);
        if is_new {
            placed.created_at = self.place_time(contact.created_at);
        }
        // An archived contact changes only by its restoring, so the batch has archived it.
        if let Some(archival) = &mut placed.archival {
            archival.at = self.place_time(archival.at);
        }
        Some(placed)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::contacts::{ContactPatch, now};
    use crate::fields::registry_fixtures as fixtures;

    #[test]
    fn only_provisional_positions_are_placed() {
        let last = LastChange { position: 7, at: None };
        assert_eq!([-1, -3, 5, 0].map(|position| last.place_position(position)), [8, 10, 5, 0]);
    }

    #[test]
    fn times_of_a_batch_are_not_before_the_last_change() {
        let contact = Contact { position: -1, ..Contact::new(&ContactPatch::default()) };
        let earlier = LastChange { position: 1, at: Some(contact.created_at - TimeDelta::seconds(1)) };
        assert_eq!(earlier.place_times(&contact, true), None);
        let at = contact.created_at + TimeDelta::seconds(1);
        let last = LastChange { position: 1, at: Some(at) };
        let placed = last.place_times(&contact, true).expect("later times");
        assert_eq!((placed.created_at, placed.updated_at), (at, at));
        let archived = Contact { position: -2, ..contact.archived(None, &fixtures::registry()) };
        let placed = last.place_times(&archived, false).expect("later times");
        assert_eq!((placed.created_at, placed.updated_at), (contact.created_at, at));
        assert_eq!(placed.archival.map(|archival| archival.at), Some(at));
        let updated = Contact { updated_at: at, ..contact.clone() };
        assert_eq!(last.place_times(&updated, true).map(|placed| placed.created_at), Some(at));
        assert_eq!(last.place_times(&updated, false), None);
        assert_eq!(last.place_times(&Contact { position: 1, ..contact }, true), None, "the contact is not changed");
        assert!(at > now());
    }
}
