//! The outcomes of the writes of a request, with the memory that they take until the response is built.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;

use uuid::Uuid;

use super::transaction_memory::TransactionMemory;
use crate::contacts::{Contact, LastChange, WriteOutcome, WrittenContact};
use crate::fair_semaphore::FairPermit;
use crate::fields::CustomSelection;

/// The maximum memory of the values in the outcomes of a request with several writes, in bytes.
const MAX_OUTCOME_BYTES: usize = 16 * MIB;
/// The memory that is reserved at a time. The first of it takes no permit.
const STEP_BYTES: usize = MIB;
const MIB: usize = 1024 * 1024;

/// The outcomes of the writes of a request, in order. If there are several, they have a limit of memory: the contacts
/// beyond it have the default properties only ([`WrittenContact::has_omitted_properties`]).
#[derive(Default)]
pub struct WriteOutcomes {
    outcomes: Vec<WriteOutcome>,
    /// The memory of the values in the outcomes.
    used: usize,
    permits: Vec<FairPermit>,
    is_full: bool,
}

impl WriteOutcomes {
    /// Adds the outcome of a request's only write.
    pub(super) fn push_only(&mut self, outcome: WriteOutcome) {
        self.outcomes.push(outcome);
    }

    /// Adds an outcome. Its contact keeps only the custom values that the caller reads, and the default properties only if
    /// the memory of all outcomes is used up.
    pub(super) fn push(
        &mut self,
        outcome: WriteOutcome,
        account: Uuid,
        custom_fields: &CustomSelection,
        memory: &TransactionMemory,
    ) {
        let outcome = outcome.map(|written| {
            let written = written.with_custom_fields_only(custom_fields);
            if self.try_take(written.contact.memory_bytes(), account, memory) {
                written
            } else {
                written.with_default_properties_only()
            }
        });
        self.outcomes.push(outcome);
    }

    /// Takes memory for the values of one more outcome. Returns false once there is not enough.
    fn try_take(&mut self, bytes: usize, account: Uuid, memory: &TransactionMemory) -> bool {
        let needed = self.used + bytes;
        self.is_full |= needed > MAX_OUTCOME_BYTES;
        while !self.is_full && needed > (self.permits.len() + 1) * STEP_BYTES {
            let permit = memory.reserve_for_outcomes(account, STEP_BYTES);
            self.is_full |= permit.is_none();
            self.permits.extend(permit);
        }
        if !self.is_full {
            self.used = needed;
        }
        !self.is_full
    }

    /// Sets the final times of the contacts in the outcomes from `first` on, which are stored after the account's change
    /// `last`. `created` are the contacts that are created with them.
    pub(super) fn place_times(&mut self, first: usize, last: LastChange, created: &HashSet<Uuid>) {
        let place = |contact: &mut Arc<Contact>| {
            let placed = last.place_times(contact, created.contains(&contact.id));
            placed.into_iter().for_each(|placed| *contact = Arc::new(placed));
        };
        for written in self.outcomes[first..].iter_mut().flatten() {
            place(&mut written.contact);
            written.before.iter_mut().for_each(place);
        }
    }

    /// Removes the outcomes after the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        if self.outcomes.len() > count {
            self.outcomes.truncate(count);
            let values_of = |written: &WrittenContact| {
                if written.has_omitted_properties { 0 } else { written.contact.memory_bytes() }
            };
            self.used = self.outcomes.iter().flatten().map(values_of).sum();
            self.is_full = self.outcomes.iter().flatten().any(|written| written.has_omitted_properties);
        }
    }
}

impl Deref for WriteOutcomes {
    type Target = [WriteOutcome];

    fn deref(&self) -> &[WriteOutcome] {
        &self.outcomes
    }
}

impl std::fmt::Debug for WriteOutcomes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.outcomes.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::transaction_memory::WriteMemory;
    use super::*;
    use crate::contacts::{Contact, ContactPatch, RejectedWrite, WriteRejection};
    use crate::fields::{FieldId, Value, system};

    const ACCOUNT: Uuid = Uuid::from_u128(1);
    const SHOWN: FieldId = FieldId(100);
    const HIDDEN: FieldId = FieldId(101);

    /// Returns the outcome of a write of a contact with a value of `mib` MiB in both fields.
    fn written(mib: usize) -> WriteOutcome {
        let text = |bytes| Some(Value::Text("x".repeat(bytes).into()));
        let mut contact = Contact::new(&ContactPatch::default());
        contact.values.set(system::FIRST_NAME, text(3));
        contact.values.set(system::PHONE, text(3));
        [SHOWN, HIDDEN].into_iter().for_each(|field| contact.values.set(field, text(mib * MIB)));
        let contact = Arc::new(contact);
        Ok(WrittenContact { before: None, changed_at: Some(1), ..WrittenContact::unchanged(contact) })
    }

    #[test]
    fn outcomes_beyond_the_memory_have_the_default_properties_only() {
        let memory = WriteMemory::new().for_account(ACCOUNT);
        let shown = CustomSelection::Only([SHOWN].into());
        let mut outcomes = WriteOutcomes::default();
        let rejected = RejectedWrite { reason: WriteRejection::NotFound, contact: None };
        for outcome in [written(10), written(5), Err(rejected), written(2), written(0)] {
            outcomes.push(outcome, ACCOUNT, &shown, &memory);
        }
        let fields = |index: usize| {
            let written = outcomes[index].as_ref().expect("accepted");
            let fields: Vec<_> = written.contact.values.iter().map(|(field, _)| field).collect();
            (fields, written.has_omitted_properties)
        };
        let all = (vec![system::FIRST_NAME, system::PHONE, SHOWN], false);
        assert_eq!([fields(0), fields(1)], [all.clone(), all]);
        let default_only = (vec![system::FIRST_NAME], true);
        assert_eq!([fields(3), fields(4)], [default_only.clone(), default_only]);
        outcomes.truncate(1);
        outcomes.push(written(5), ACCOUNT, &shown, &memory);
        assert!(!outcomes[1].as_ref().expect("accepted").has_omitted_properties);
    }

    #[test]
    fn outcomes_for_which_no_memory_is_free_have_the_default_properties_only() {
        let budgets = WriteMemory::new();
        let has_omitted_properties = |account: u128, outcomes: &mut WriteOutcomes| {
            let account = Uuid::from_u128(account);
            let shown = CustomSelection::Only([SHOWN].into());
            outcomes.push(written(15), account, &shown, &budgets.for_account(account));
            outcomes[0].as_ref().expect("accepted").has_omitted_properties
        };
        let (mut first, mut second, mut third) = Default::default();
        assert!(!has_omitted_properties(1, &mut first));
        assert!(has_omitted_properties(2, &mut second));
        drop((first, second));
        assert!(!has_omitted_properties(3, &mut third));
    }
}
