//! Batched lookups of contacts by id: lookups that are queued at the same time run as one statement.

use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::batcher::{self, BatchQueue};
use super::citus::ShardQueues;
use super::error::StorageError;
use super::pool::{DedicatedConnection, DedicatedConnections, Pool};
use super::row_mapping::{self, contact_columns, custom_parameter};
use super::statement::{shard_condition, sql};
use super::{Repository, storage_metrics};
use crate::contacts::Contact;
use crate::fields::CustomSelection;

/// The name of the reader's queues in metrics.
const QUEUE: &str = "reads";
/// The number of batches that are read at the same time.
pub(super) const WORKERS: u32 = 2;
/// The largest number of contacts that one statement reads.
const MAX_BATCH: usize = 256;

/// The number of contacts that a worker keeps before it sends them to their callers. Contacts can be large.
const REPLIES_AT_A_TIME: usize = 32;

type ReadReply = Result<Option<Contact>, StorageError>;

/// A lookup by id, and the channel for the reply to its caller.
struct ReadJob {
    account: Uuid,
    id: Uuid,
    custom: CustomSelection,
    reply: oneshot::Sender<ReadReply>,
}

/// The queues of the workers.
pub(super) struct ContactReader {
    queues: Vec<BatchQueue<ReadJob>>,
    shard_queues: ShardQueues<ReadJob>,
    connections: DedicatedConnections,
}

impl ContactReader {
    /// Starts a worker for each connection. The workers end with the reader. If the tables are distributed, each shard has a
    /// worker instead. The workers of a node together use up to `node_connections` of the shared pool.
    pub(super) fn start(
        connections: DedicatedConnections,
        shared_pool: &Pool,
        node_connections: u32,
        timeout: Duration,
    ) -> Self {
        let start_worker = move |connection: DedicatedConnection| {
            batcher::start_worker(QUEUE, MAX_BATCH, timeout * 2, move |jobs| read_batch(connection.clone(), jobs))
        };
        let shard_queues = ShardQueues::new(shared_pool.clone(), node_connections, start_worker);
        Self { queues: connections.iter().map(start_worker).collect(), shard_queues, connections }
    }

    async fn read(&self, account: Uuid, id: Uuid, custom: CustomSelection) -> ReadReply {
        let (reply, receiver) = oneshot::channel();
        let job = ReadJob { account, id, custom, reply };
        if let Some(job) = self.shard_queues.try_add(account, job).await? {
            // The last bits of an id are random.
            let worker = usize::from(id.as_bytes()[15]) % self.queues.len();
            self.queues[worker].add(job)?;
        }
        receiver.await.unwrap_or(Err(StorageError::Lost))
    }

    /// Updates the gauges.
    pub(super) fn update_gauges(&self) {
        storage_metrics::set_queue_depth(
            QUEUE,
            self.queues.iter().map(BatchQueue::depth).sum::<usize>() + self.shard_queues.depth(),
        );
        self.connections.update_gauges();
    }

    /// Closes the connections of the workers after the running lookups.
    pub(super) async fn close(&self) {
        self.connections.close().await;
    }
}

impl Repository {
    /// Returns the contact with an id, active or archived, with the values of the selected custom fields.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    #[tracing::instrument(
        name = "read contacts",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub async fn contact_by_id(
        &self,
        account: Uuid,
        id: Uuid,
        custom: CustomSelection,
    ) -> Result<Option<Contact>, StorageError> {
        let mut contact = self.reader.read(account, id, custom.clone()).await;
        if matches!(contact, Err(StorageError::ShardSplit(_))) {
            self.pool.forget_shards();
            contact = self.reader.read(account, id, custom).await;
        }
        contact
    }
}

/// Reads the contacts of a batch, and replies to their callers.
async fn read_batch(connection: DedicatedConnection, mut jobs: Vec<ReadJob>) {
    // Skip jobs whose caller has disconnected.
    jobs.retain(|job| !job.reply.is_closed());
    if jobs.is_empty() {
        return;
    }
    let mut jobs: Vec<_> = jobs.into_iter().map(Some).collect();
    let end = send_contacts(&connection, &mut jobs).await;
    // Jobs whose contact does not exist have no row.
    for job in jobs.into_iter().flatten() {
        let _ = job.reply.send(end.clone().map(|()| None));
    }
}

/// Replies to the jobs whose contact exists, and removes them.
async fn send_contacts(dedicated: &DedicatedConnection, jobs: &mut [Option<ReadJob>]) -> Result<(), StorageError> {
    let select = sql!(
        "SELECT {}, k.number FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY \
         AS k (account_id, id, custom, number) \
         CROSS JOIN LATERAL (SELECT * FROM contacts t WHERE account_id = k.account_id AND id = k.id AND {} LIMIT 1) c",
        contact_columns("k.custom"),
        shard_condition("t", 4)
    );
    let mut connection = dedicated.acquire().await?;
    let all = || jobs.iter().flatten();
    let query = sqlx::query(select)
        .bind(all().map(|job| job.account).collect::<Vec<_>>())
        .bind(all().map(|job| job.id).collect::<Vec<_>>())
        .bind(all().map(|job| custom_parameter(&job.custom)).collect::<Vec<_>>())
        .bind(dedicated.shard_accounts(all().map(|job| job.account)));
    let mut rows = query.fetch(&mut *connection);
    let mut replies = vec![];
    let end = read_contacts(&mut rows, jobs, &mut replies).await;
    send_replies(&mut replies);
    end?;
    drop(rows);
    dedicated.put_back(connection);
    Ok(())
}

/// Reads all rows. Sends the replies several at a time: each of them wakes a task, which would delay the next row.
async fn read_contacts(
    rows: &mut BoxStream<'_, sqlx::Result<PgRow>>,
    jobs: &mut [Option<ReadJob>],
    replies: &mut Vec<(ReadJob, Contact)>,
) -> Result<(), StorageError> {
    while let Some(row) = rows.try_next().await? {
        let number: i64 = row.try_get("number")?;
        let contact = row_mapping::contact_from_row(&row)?;
        let job = usize::try_from(number - 1).ok().and_then(|index| jobs.get_mut(index)?.take());
        replies.extend(job.map(|job| (job, contact)));
        if replies.len() == REPLIES_AT_A_TIME {
            send_replies(replies);
        }
    }
    Ok(())
}

fn send_replies(replies: &mut Vec<(ReadJob, Contact)>) {
    for (job, contact) in replies.drain(..) {
        let _ = job.reply.send(Ok(Some(contact)));
    }
}
