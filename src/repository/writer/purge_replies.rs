//! Replies to the jobs of a stored batch. A job that purged a contact with a long history gets its reply when the history
//! is erased; the other jobs do not wait for that.

use super::account_batch::AccountBatch;
use super::write_job::{JobResult, WriteJob};
use crate::contacts::{LastChange, Write};
use crate::repository::history_erasure::{PendingErasure, erase_remaining_entries};
use crate::repository::pool::Pool;

/// Replies to all jobs of a batch that was stored as a whole. `pending_erasures` may contain other accounts' erasures.
/// Returns the jobs that need another transaction, in order.
pub(super) fn reply_to_stored_batch(
    pool: &Pool,
    batch: AccountBatch,
    pending_erasures: &[PendingErasure],
) -> Vec<WriteJob> {
    let (account, last) = (batch.account, batch.last);
    let pending: Vec<_> = pending_erasures.iter().copied().filter(|erasure| erasure.account == account).collect();
    let is_pending = |job: &WriteJob| {
        let is_purged = |id| pending.iter().any(|erasure| erasure.contact == id);
        job.request.writes.iter().any(|write| matches!(write, Write::Purge { id, .. } if is_purged(*id)))
    };
    let (results, deferred) = batch.into_results();
    let (delayed, ready): (Vec<_>, Vec<_>) = results.partition(|(job, _)| is_pending(job));
    let unfinished = ready.into_iter().filter_map(|(job, result)| job.finish(result, last)).chain(deferred).collect();
    if !pending.is_empty() {
        tokio::spawn(reply_after_erasure(pool.clone(), pending, delayed, last));
    }
    unfinished
}

/// Erases the histories, one after another, and then replies to the jobs that wait for it.
async fn reply_after_erasure(
    pool: Pool,
    pending: Vec<PendingErasure>,
    jobs: Vec<(WriteJob, JobResult)>,
    last: LastChange,
) {
    let mut erased = Ok(());
    for erasure in pending {
        if erased.is_ok() {
            erased = erase_remaining_entries(&pool, erasure.account, erasure.contact).await;
        }
    }
    for (job, result) in jobs {
        match &erased {
            // A purge is the only write of its job, so the job needs no other transaction.
            Ok(()) => drop(job.finish(result, last)),
            // If the database failed, the contact is gone but its history is not erased yet: the outcome is unknown.
            Err(error) => job.fail(error.clone()),
        }
    }
}
