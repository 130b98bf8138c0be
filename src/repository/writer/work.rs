//! What a caller asks to be written, and what comes of it.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::contacts::{Write, WriteOutcome};
use crate::fields::Registry;
use crate::repository::WriteError;

/// Writes of one account, in order, checked against one version of its registry.
pub struct Work {
    /// The account.
    pub account: Uuid,
    /// What the writes were checked against.
    pub registry: Arc<Registry>,
    /// On whose behalf.
    pub actor: Option<Arc<str>>,
    /// What to do, one after another.
    pub writes: Vec<Write>,
    /// What becomes of the rest when a write is refused.
    pub unit: Unit,
    /// Whether all of it is only tried.
    pub dry_run: bool,
    /// How the answer is kept for a repeat.
    pub keep: Option<Keep<[WriteOutcome]>>,
}

/// What becomes of writes when others of the same work are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Each stands for itself.
    Each,
    /// All are left undone when one is refused.
    AllOrNothing,
    /// All are left undone: something that they stand or fall with was refused before.
    Nothing,
}

/// An `Idempotency-Key`, and how to make the answer that is kept under it (contract §6).
pub struct Keep<T: ?Sized> {
    /// The key.
    pub key: String,
    /// A hash of the request that the key belongs to.
    pub fingerprint: [u8; 32],
    /// The answer to what came of it; `None` when it is not to be kept.
    pub answer: AnswerTo<T>,
}

/// Makes an answer to what came of a request.
pub(crate) type AnswerTo<T> = Box<dyn Fn(&T) -> Option<Vec<u8>> + Send + Sync>;

/// What a request comes to: all that is to be written is committed.
#[derive(Debug)]
pub enum Done<T> {
    /// What came of it.
    Fresh(T),
    /// The same request has been answered before, with this.
    Replayed(Vec<u8>),
}

/// What comes of work: the outcome of each of its writes.
pub type Outcomes = Done<Vec<WriteOutcome>>;

/// What a caller learns.
pub(super) type Reply = Result<Outcomes, WriteError>;

/// Work and the caller who waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Reply>,
}

impl Job {
    /// A job, and where its reply will come.
    pub(super) fn new(work: Work) -> (Self, oneshot::Receiver<Reply>) {
        let (answer, reply) = oneshot::channel();
        (Self { work, answer }, reply)
    }

    /// Answers the caller. One that is gone loses only its answer.
    pub(super) fn answer(self, reply: Reply) {
        let _ = self.answer.send(reply);
    }

    /// Whether the caller no longer wants it done.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}
