//! The pipeline of an import: while one batch of an account is stored, the next batch is loaded and applied over
//! another connection, on the projected result of the first. So the database never waits for the service.
//!
//! A batch is stored as prepared only if its account is still in the state that the batch was applied to. If another
//! writer has changed the account, the batch is written like any other, and so is the batch that builds on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use super::account_batch::AccountBatch;
use super::load_state::load_state;
use super::transaction_memory::TransactionMemory;
use super::write_job::{AccountWrites, Outcomes, WriteJob, WriteReply};
use crate::repository::Repository;
use crate::repository::error::{StorageError, WriteError};

/// Writes that have been applied in memory and wait to be stored.
pub struct PreparedBatch {
    batch: AccountBatch,
    memory: TransactionMemory,
    reply: oneshot::Receiver<WriteReply>,
    /// Whether the batch that this one builds on was stored as it was prepared.
    base_committed: Arc<AtomicBool>,
    is_stored: Arc<AtomicBool>,
}

/// An account as it will be once a prepared batch is stored. The next batch builds on it.
pub struct Projection {
    batch: AccountBatch,
    base_committed: Arc<AtomicBool>,
}

impl Repository {
    /// Loads and applies writes, on the stored account or on the projection of the previous batch. Returns the batch to
    /// be stored, and the projection for the next batch. The writes of an import have no idempotency key: the
    /// projection does not know responses that are not stored yet.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn prepare_batch(
        &self,
        writes: AccountWrites,
        projection: Option<Projection>,
    ) -> Result<(PreparedBatch, Projection), StorageError> {
        let account = writes.account;
        let (job, reply) = WriteJob::new(writes, &self.change_notifier);
        let stored_account = || Projection {
            batch: AccountBatch::new(account, vec![]).with_all_custom_fields(),
            base_committed: Arc::new(true.into()),
        };
        let Projection { mut batch, base_committed } = projection.unwrap_or_else(stored_account);
        batch.jobs.push(job);
        let (pool, write_memory) = (self.pool.clone(), self.writer.memory().clone());
        // This runs on its own task, so that it continues while the previous batch is stored.
        let task = tokio::spawn(async move {
            let mut batches = BTreeMap::from([(account, batch)]);
            let mut memory = write_memory.for_account(account);
            load_state(&mut *pool.acquire().await?, &mut batches, &mut memory).await?;
            batches.values_mut().for_each(|batch| batch.apply(&mut memory));
            let mut batch = batches.remove(&account).ok_or(StorageError::Lost)?;
            // A batch that needs several transactions is written like any other. Its data is read again then.
            if batch.has_deferred_writes() {
                batch = AccountBatch::new(account, batch.into_jobs()).with_all_custom_fields();
                batch.mark_stale();
                memory = write_memory.for_account(account);
            }
            let following = batch.following();
            Ok::<_, StorageError>((batch, following, memory))
        });
        let (batch, following, memory) = task.await.map_err(|_| StorageError::Lost)??;
        let is_stored = Arc::<AtomicBool>::default();
        let projection = Projection { batch: following, base_committed: Arc::clone(&is_stored) };
        Ok((PreparedBatch { batch, memory, reply, base_committed, is_stored }, projection))
    }

    /// Stores a prepared batch, and returns when it is committed or rejected.
    ///
    /// # Errors
    /// Any [`WriteError`].
    pub async fn store_prepared_batch(&self, prepared: PreparedBatch) -> Result<Outcomes, WriteError> {
        let PreparedBatch { mut batch, memory, reply, base_committed, is_stored } = prepared;
        if !base_committed.load(Ordering::Acquire) {
            batch.mark_stale();
        }
        is_stored.store(self.writer.store_applied(batch).await, Ordering::Release);
        drop(memory);
        reply.await.unwrap_or_else(|_| Err(StorageError::Lost.into()))
    }
}
