//! Replies to the jobs of a stored batch. A job that purged a contact with a long history gets its reply when the history
//! is erased; the other jobs do not wait for that.

use super::account_batch::AccountBatch;
use super::write_job::{WriteJob, WriteReply};
use crate::contacts::Write;
use crate::repository::history_erasure::{PendingErasure, erase_remaining_entries};
use crate::repository::pool::Pool;

/// Replies to all jobs of a batch that was stored as a whole. `pending_erasures` may contain other accounts' erasures.
pub(super) fn reply_to_stored_batch(pool: &Pool, batch: AccountBatch, pending_erasures: &[PendingErasure]) {
    let account = batch.account;
    let pending: Vec<_> = pending_erasures.iter().copied().filter(|erasure| erasure.account == account).collect();
    let is_pending = |job: &WriteJob| {
        let is_purged = |id| pending.iter().any(|erasure| erasure.contact == id);
        job.request.writes.iter().any(|write| matches!(write, Write::Purge { id, .. } if is_purged(*id)))
    };
    let (delayed, ready): (Vec<_>, Vec<_>) = batch.into_replies().partition(|(job, _)| is_pending(job));
    ready.into_iter().for_each(|(job, reply)| job.send_reply(reply));
    if !pending.is_empty() {
        tokio::spawn(reply_after_erasure(pool.clone(), pending, delayed));
    }
}

/// Erases the histories, one after another, and then replies to the jobs that wait for it.
async fn reply_after_erasure(pool: Pool, pending: Vec<PendingErasure>, jobs: Vec<(WriteJob, WriteReply)>) {
    let mut erased = Ok(());
    for erasure in pending {
        if erased.is_ok() {
            erased = erase_remaining_entries(&pool, erasure.account, erasure.contact).await;
        }
    }
    for (job, reply) in jobs {
        // If the database failed, the contact is gone but its history is not erased yet: the outcome is unknown.
        job.send_reply(erased.clone().map_err(Into::into).and(reply));
    }
}
