//! What can go wrong with the database, by what it means to a caller.

use std::sync::Arc;

/// The database did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// It is away, overloaded, or took too long: the caller may try again.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// More is asked of it than it can take: the caller may try again.
    #[error("too many requests are waiting")]
    Overloaded,
    /// Whether it was done is unknown: whoever did it ended without a word.
    #[error("a write ended without an answer")]
    Lost,
    /// Someone else holds what it needs, for longer than it waits.
    #[error("a lock was not had in time: {0}")]
    Locked(#[source] Arc<sqlx::Error>),
    /// Two transactions stood in each other's way: trying again at once helps.
    #[error("a conflict between transactions: {0}")]
    Conflict(#[source] Arc<sqlx::Error>),
    /// What was read is no longer so: trying again at once helps.
    #[error("someone else has written meanwhile")]
    Stale,
    /// Anything else is a bug of ours.
    #[error("{0}")]
    Bug(#[source] Arc<sqlx::Error>),
}

impl StorageError {
    /// Whether it is unknown if a write was done, or trying it again at once would not help.
    pub(super) fn leaves_unknown(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Lost | Self::Overloaded)
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{BeginFailed, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        let meaning = match &error {
            Io(_) | Tls(_) | PoolTimedOut | PoolClosed | WorkerCrashed | BeginFailed | Protocol(_) => Self::Unavailable,
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // serialization_failure, deadlock_detected, unique_violation: someone else was faster.
                Some("40001" | "40P01" | "23505") => Self::Conflict,
                // lock_not_available
                Some("55P03") => Self::Locked,
                Some(code) if is_unavailable(code) => Self::Unavailable,
                _ => Self::Bug,
            },
            _ => Self::Bug,
        };
        meaning(Arc::new(error))
    }
}

/// The codes of a database that can't serve now, by class (PostgreSQL documentation, appendix A).
fn is_unavailable(code: &str) -> bool {
    // Connection exceptions, insufficient resources (disk, memory, connections), operator intervention
    // (shutdown, cancelled by time limit), system errors.
    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        // A read-only database, a role or database that is not there (yet), one that takes no connections, no access.
        || ["25006", "3D000", "55000", "28000", "28P01", "42501"].contains(&code)
        // The schema is not there yet: migrations are pending.
        || ["42P01", "42703"].contains(&code)
}

/// Why work was not done. (A single write that is refused is no error of the work.)
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The account's fields are others than those the writes were checked against: check again.
    #[error("the registry has changed")]
    RegistryChanged,
    /// The `Idempotency-Key` belongs to another request.
    #[error("the key belongs to another request")]
    KeyReused,
    /// The answer that was kept under the key showed a contact that has been purged.
    #[error("the answer has been purged")]
    AnswerPurged,
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Why a custom field was not written.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The account has no such field.
    #[error("no such field")]
    NotFound,
    /// The name is taken.
    #[error("the name is taken")]
    Duplicate,
    /// The account has as many fields (or unique fields) as it can have.
    #[error("too many fields")]
    TooMany {
        /// How many it can have.
        limit: usize,
        /// Whether of unique ones.
        unique: bool,
    },
    /// These options are still used by contacts.
    #[error("options are in use")]
    OptionsInUse(Vec<String>),
    /// The `Idempotency-Key` belongs to another request.
    #[error("the key belongs to another request")]
    KeyReused,
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for FieldError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
