//! The writes of a request, and the reply to its caller.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::contacts::{Write, WriteOutcome};
use crate::fields::{CustomSelection, Registry};
use crate::repository::change_notifier::ChangeNotifier;
use crate::repository::error::WriteError;
use crate::repository::idempotency::{Idempotent, IdempotentRequest};

/// Writes to one account, in order. They were validated against one version of its registry.
pub struct AccountWrites {
    /// The account.
    pub account: Uuid,
    /// The registry that the writes were validated against.
    pub registry: Arc<Registry>,
    /// The subject of the caller's token.
    pub actor: Option<Arc<str>>,
    /// The writes, which apply one after another.
    pub writes: Vec<Write>,
    /// The effect of a rejected write on the other writes.
    pub atomicity: Atomicity,
    /// Whether the writes are only checked: the outcomes are returned and nothing is stored.
    pub dry_run: bool,
    /// The custom fields that the caller reads in the outcomes. The contacts in the outcomes have no values of others.
    pub custom_fields: CustomSelection,
    /// The request's `Idempotency-Key`, if it sent one.
    pub idempotent_request: Option<IdempotentRequest<[WriteOutcome]>>,
}

/// The effect of a rejected write on the other writes of the same [`AccountWrites`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomicity {
    /// None: the other writes are stored.
    Independent,
    /// No write is stored when one is rejected.
    AllOrNothing,
    /// No write is stored: an input of the same batch was rejected before the writes were built.
    RejectAll,
}

/// The outcomes of the writes of an [`AccountWrites`], in order.
pub type Outcomes = Idempotent<Vec<WriteOutcome>>;

/// The reply to the caller.
pub(super) type WriteReply = Result<Outcomes, WriteError>;

/// Writes, and the channel for the reply to their caller.
pub(super) struct WriteJob {
    pub(super) request: AccountWrites,
    change_notifier: Arc<ChangeNotifier>,
    reply: oneshot::Sender<WriteReply>,
}

impl WriteJob {
    /// Returns a job, and the receiver of its reply.
    pub(super) fn new(
        request: AccountWrites,
        change_notifier: &Arc<ChangeNotifier>,
    ) -> (Self, oneshot::Receiver<WriteReply>) {
        let (reply, receiver) = oneshot::channel();
        (Self { request, change_notifier: Arc::clone(change_notifier), reply }, receiver)
    }

    /// Sends the reply, and notifies long polls if the writes have changed the account. A caller that has disconnected
    /// only loses its reply. Call this after the commit.
    pub(super) fn send_reply(self, reply: WriteReply) {
        if let Some(position) = self.last_changed_position(&reply) {
            self.change_notifier.notify(self.request.account, position);
        }
        let _ = self.reply.send(reply);
    }

    /// Returns the position of the last change; `None` if nothing was changed: the writes were rejected, replayed, a
    /// dry run, or had no effect.
    fn last_changed_position(&self, reply: &WriteReply) -> Option<i64> {
        match reply {
            Ok(Idempotent::Fresh(outcomes)) if !self.request.dry_run => {
                outcomes.iter().flatten().filter_map(|written| written.changed_at).max()
            }
            _ => None,
        }
    }

    /// Whether the caller has disconnected.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Replies to jobs that were not carried out.
pub(super) fn fail_jobs(jobs: Vec<WriteJob>, error: &crate::repository::error::StorageError) {
    for job in jobs {
        job.send_reply(Err(error.clone().into()));
    }
}
