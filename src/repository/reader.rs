//! The reader: look-ups of contacts by id that come at the same moment are one statement.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::PgRow;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::gather::Queue;
use super::pool::{Holder, Holders};
use super::rows::{self, contact_columns};
use super::{Repository, StorageError, gather, meters};
use crate::contacts::Contact;

/// The name of its queues in metrics.
const QUEUE: &str = "reads";
/// How many batches are read at the same time.
pub(super) const WORKERS: u32 = 2;
/// How many contacts are read in one statement at most.
const MAX_BATCH: usize = 256;

type Answer = Result<Option<Contact>, StorageError>;

/// A contact that is asked for, and who waits for it.
struct LookUp {
    account: Uuid,
    id: Uuid,
    answer: oneshot::Sender<Answer>,
}

/// Where look-ups wait for their worker.
pub(super) struct Reader {
    queues: Vec<Queue<LookUp>>,
    holders: Holders,
}

impl Reader {
    /// Starts a worker for each holder; they end with the reader.
    pub(super) fn start(holders: Holders, timeout: Duration) -> Self {
        let start = |holder: Holder| {
            gather::start(QUEUE, MAX_BATCH, timeout * 2, move |look_ups| settle(holder.clone(), look_ups))
        };
        Self { queues: holders.iter().map(start).collect(), holders }
    }

    /// Brings its gauges up to date.
    pub(super) fn measure(&self) {
        meters::show_queue(QUEUE, self.queues.iter().map(Queue::depth).sum());
        self.holders.measure();
    }

    /// Closes the connections of the workers, after the look-ups under way.
    pub(super) async fn close(&self) {
        self.holders.close().await;
    }
}

impl Repository {
    /// The contact with this id, active or archived.
    ///
    /// # Errors
    /// The database.
    #[tracing::instrument(name = "read contacts", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn contact(&self, account: Uuid, id: Uuid) -> Result<Option<Contact>, StorageError> {
        let (answer, found) = oneshot::channel();
        // The last bits of an id are random.
        let worker = usize::from(id.as_bytes()[15]) % self.reader.queues.len();
        let look_up = LookUp { account, id, answer };
        self.reader.queues[worker].add(look_up)?;
        found.await.unwrap_or(Err(StorageError::Lost))
    }
}

async fn settle(holder: Holder, mut look_ups: Vec<LookUp>) {
    look_ups.retain(|look_up| !look_up.answer.is_closed());
    if look_ups.is_empty() {
        return;
    }
    match find(&holder, &look_ups).await {
        Ok(found) => {
            for LookUp { account, id, answer } in look_ups {
                let _ = answer.send(Ok(found.get(&(account, id)).cloned()));
            }
        }
        Err(error) => {
            for look_up in look_ups {
                let _ = look_up.answer.send(Err(error.clone()));
            }
        }
    }
}

async fn find(holder: &Holder, look_ups: &[LookUp]) -> Result<HashMap<(Uuid, Uuid), Contact>, StorageError> {
    const FIND: &str = concat!(
        "SELECT ",
        contact_columns!(),
        ", c.account_id FROM unnest($1::uuid[], $2::uuid[]) AS k (account_id, id) \
         JOIN contacts c ON c.account_id = k.account_id AND c.id = k.id"
    );
    let (accounts, ids): (Vec<_>, Vec<_>) = look_ups.iter().map(|look_up| (look_up.account, look_up.id)).unzip();
    let mut connection = holder.acquire().await?;
    let found = sqlx::query(FIND).bind(accounts).bind(ids).fetch_all(&mut *connection).await?;
    holder.hold(connection);
    let keyed = |row: &PgRow| {
        let contact = rows::contact(row)?;
        Ok(((rows::account(row)?, contact.id), contact))
    };
    Ok(found.iter().map(keyed).collect::<sqlx::Result<_>>()?)
}
