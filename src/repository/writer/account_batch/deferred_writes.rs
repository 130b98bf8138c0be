//! The writes of a batch that fit into the memory of a transaction. The others are deferred to another transaction.

use std::collections::HashSet;

use super::AccountBatch;
use crate::contacts::{Lookups, UnitOfWork, Write};
use crate::repository::writer::write_job::WriteJob;

impl AccountBatch {
    /// Limits the batch to the writes, in order, whose data is loaded. The other jobs are deferred. Call this when the
    /// memory of the transaction is full.
    pub(in crate::repository::writer) fn defer_unloaded_writes(&mut self) {
        let incomplete: HashSet<_> = self.contacts_to_complete().into_iter().collect();
        let is_loaded = |job: &WriteJob, write: &Write| {
            let mut lookups = Lookups::default();
            self.unit_of_work.collect_required_lookups(
                std::slice::from_ref(write),
                &job.request.registry,
                &mut lookups,
            );
            let contact = write.target().and_then(|target| self.unit_of_work.target_id(&target));
            lookups.is_empty() && contact.is_none_or(|contact| !incomplete.contains(&contact))
        };
        let is_unread = !self.is_read;
        let unloaded = self.jobs_with_writes().enumerate().find_map(|(index, (job, writes))| {
            let unloaded = writes.iter().position(|write| is_unread || !is_loaded(job, write));
            unloaded.map(|count| (index, count, job.is_divisible()))
        });
        match unloaded {
            None => {}
            Some((index, count, true)) if count > 0 => self.limit_to(index + 1, count),
            Some((index, ..)) => self.limit_to(index, usize::MAX),
        }
    }

    /// Whether nothing can be applied, because the transaction has too little memory for the first write.
    pub(in crate::repository::writer) fn is_unloaded(&self) -> bool {
        self.jobs.is_empty() && !self.deferred.is_empty()
    }

    /// Reduces a batch of which nothing could be loaded, so that it is loaded again: to its first job, then to half of the
    /// writes of this job, and so on. A job that cannot be divided will fail. Returns whether the batch has a single write
    /// now.
    pub(in crate::repository::writer) fn reduce(&mut self) -> bool {
        self.jobs.append(&mut self.deferred);
        let Some(first) = self.jobs.first() else { return false };
        let pending = first.pending_writes().len();
        let writes = match self.reduced_writes {
            None if self.jobs.len() > 1 => pending,
            None => pending / 2,
            Some(writes) => writes / 2,
        };
        self.is_too_large = writes < pending && pending > 1 && !first.is_divisible();
        if self.is_too_large {
            self.limit_to(1, usize::MAX);
            return false;
        }
        let writes = writes.max(1);
        self.reduced_writes = Some(writes);
        self.limit_to(1, writes);
        (self.state, self.is_read, self.is_stale) = (None, false, false);
        self.unit_of_work = UnitOfWork::default();
        writes == 1
    }

    /// Whether the data of the only job does not fit into the memory of a transaction.
    pub(in crate::repository::writer) fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    /// Records that the response stored under a key does not fit into the memory of the transaction. Returns false for
    /// the key of the first job, whose response has to be loaded nevertheless.
    pub(in crate::repository::writer) fn skip_stored_response(&mut self, key: &str) -> bool {
        let idempotent = self.jobs.first().and_then(|job| job.request.idempotent_request.as_ref());
        let is_first = idempotent.is_some_and(|idempotent| idempotent.key == key);
        !is_first && {
            self.unloaded_responses.insert(key.to_owned());
            true
        }
    }

    /// Defers the jobs whose stored responses were not loaded, and the jobs after them.
    pub(in crate::repository::writer) fn defer_jobs_without_response(&mut self) {
        let is_unloaded = |job: &WriteJob| {
            let idempotent = job.request.idempotent_request.as_ref();
            idempotent.is_some_and(|idempotent| self.unloaded_responses.contains(&idempotent.key))
        };
        if let Some(index) = self.jobs.iter().position(is_unloaded) {
            self.limit_to(index, usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests;
