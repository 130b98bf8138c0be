//! Work of one account, piece after piece, as an import has it: while a piece is stored, the next is read and applied
//! over another connection, upon what the first is about to leave. So the database never waits for us.
//!
//! A piece is stored only if its account is then as the writes took it to be. If someone else has written meanwhile, the
//! piece is done like any other work, and so is the one that was prepared upon it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use super::group::Group;
use super::load;
use super::work::{Job, Outcomes, Reply, Work};
use crate::repository::{Repository, StorageError, WriteError};

/// Work that has been applied in memory and waits to be stored.
pub struct Prepared {
    group: Group,
    reply: oneshot::Receiver<Reply>,
    /// Whether what it builds upon was stored as it was prepared.
    is_founded: Arc<AtomicBool>,
    is_stored: Arc<AtomicBool>,
}

/// An account as it will be once prepared work is stored: what the next work builds upon.
pub struct Outlook {
    group: Group,
    is_founded: Arc<AtomicBool>,
}

impl Repository {
    /// Reads what work is about and applies it, upon what is there or what is about to be. Returns it to be stored, and
    /// the outlook for what comes after it. Work is never kept for an `Idempotency-Key` this way.
    ///
    /// # Errors
    /// The database.
    pub async fn prepare(&self, work: Work, outlook: Option<Outlook>) -> Result<(Prepared, Outlook), StorageError> {
        let account = work.account;
        let (job, reply) = Job::new(work);
        let founded = || Outlook { group: Group::of(account, vec![]), is_founded: Arc::new(true.into()) };
        let Outlook { mut group, is_founded } = outlook.unwrap_or_else(founded);
        group.jobs.push(job);
        let pool = self.pool.clone();
        // A task of its own, to work beside the one that stores.
        let task = tokio::spawn(async move {
            let mut groups = BTreeMap::from([(account, group)]);
            load::load(&mut *pool.acquire().await?, &mut groups).await?;
            groups.values_mut().for_each(Group::apply);
            let group = groups.remove(&account).ok_or(StorageError::Lost)?;
            let next = group.next();
            Ok::<_, StorageError>((group, next))
        });
        let (group, next) = task.await.map_err(|_| StorageError::Lost)??;
        let is_stored = Arc::<AtomicBool>::default();
        let outlook = Outlook { group: next, is_founded: Arc::clone(&is_stored) };
        Ok((Prepared { group, reply, is_founded, is_stored }, outlook))
    }

    /// Stores work that was prepared, and returns when it is committed or refused.
    ///
    /// # Errors
    /// Every [`WriteError`].
    pub async fn store(&self, prepared: Prepared) -> Result<Outcomes, WriteError> {
        let Prepared { mut group, reply, is_founded, is_stored } = prepared;
        let account = group.account;
        if !is_founded.load(Ordering::Acquire) {
            group.tear();
        }
        is_stored.store(self.writer.store(group).await, Ordering::Release);
        let done = reply.await.unwrap_or_else(|_| Err(StorageError::Lost.into()))?;
        self.doorbells.ring(account);
        Ok(done)
    }
}
