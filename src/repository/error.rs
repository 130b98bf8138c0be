//! Errors of the repository, classified by what they mean to the caller.

use std::sync::Arc;

use super::pool::UnsupportedPooler;

/// A failed operation of the database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The database is down, overloaded, or took too long. The caller may retry later.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// Too many requests are queued. The caller may retry later.
    #[error("too many requests are queued")]
    Overloaded,
    /// A search had to read all contacts of the account, and did not end in time.
    #[error("a search of all contacts did not end in time")]
    SlowSearch,
    /// The task that carried out the operation ended without a reply: it is unknown whether the operation was carried
    /// out.
    #[error("the operation ended without a reply")]
    Lost,
    /// Another transaction held a lock for longer than the lock timeout.
    #[error("the lock timeout expired: {0}")]
    Locked(#[source] Arc<sqlx::Error>),
    /// Two transactions conflicted. An immediate retry helps.
    #[error("the transaction conflicted with another one: {0}")]
    Conflict(#[source] Arc<sqlx::Error>),
    /// A shard was split since its id was read, or while the statement ran. A retry helps after the shards are read again.
    #[error("a shard was split: {0}")]
    ShardSplit(#[source] Arc<sqlx::Error>),
    /// The tables were distributed while the service was running, or are not distributed any more.
    #[error("the tables were distributed, or are not distributed any more, since the service started: restart it")]
    LayoutChanged,
    /// `DATABASE_URL` leads to a pooler that cannot be used.
    #[error(transparent)]
    Pooler(UnsupportedPooler),
    /// Another transaction has changed the data since it was read. An immediate retry helps.
    #[error("the data has changed since it was read")]
    Stale,
    /// Any other error: a bug in this service.
    #[error("{0}")]
    Bug(#[source] Arc<sqlx::Error>),
}

impl StorageError {
    /// Returns the error of a `COMMIT`. Unless the database has aborted the transaction, it is unknown whether it was committed.
    pub(super) fn from_commit(error: sqlx::Error) -> Self {
        let error = Arc::new(error);
        match Self::from_shared(&error) {
            aborted @ (Self::Conflict(_) | Self::Locked(_)) => aborted,
            _ => Self::Unavailable(error),
        }
    }

    /// Whether the data has changed since it was read, so that the writes must be applied again.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Stale | Self::Conflict(_) | Self::ShardSplit(_))
    }

    /// Whether an immediate retry is safe and may help. Returns false when the write may have been committed, and when
    /// the database is down or overloaded.
    pub(super) fn is_retryable(&self) -> bool {
        !matches!(
            self,
            Self::Unavailable(_)
                | Self::Lost
                | Self::Overloaded
                | Self::SlowSearch
                | Self::LayoutChanged
                | Self::Pooler(_)
        )
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        Self::from_shared(&Arc::new(error))
    }
}

impl StorageError {
    fn from_shared(error: &Arc<sqlx::Error>) -> Self {
        use sqlx::Error::{BeginFailed, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        if let sqlx::Error::Configuration(source) = &**error
            && let Some(pooler) = source.downcast_ref::<UnsupportedPooler>()
        {
            return Self::Pooler(pooler.clone());
        }
        let classify = match &**error {
            Io(_) | Tls(_) | PoolTimedOut | PoolClosed | WorkerCrashed | BeginFailed | Protocol(_) => Self::Unavailable,
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // serialization_failure, deadlock_detected, unique_violation: another transaction was first. division_by_zero:
                // a statement has missed a row (`writer/store_rows.rs`).
                Some("40001" | "40P01" | "23505" | "22012") => Self::Conflict,
                // lock_not_available
                Some("55P03") => Self::Locked,
                Some(code) if is_unavailable(code) => Self::Unavailable,
                Some(code) if is_shard_split(code, database.message()) => Self::ShardSplit,
                Some("XX000") if database.message().starts_with(UNKNOWN_COMMIT) => Self::Unavailable,
                _ => Self::Bug,
            },
            _ => Self::Bug,
        };
        classify(Arc::clone(error))
    }
}

/// Whether an SQLSTATE code means that the database cannot serve requests now (PostgreSQL documentation, appendix A).
fn is_unavailable(code: &str) -> bool {
    // By class: connection exceptions, insufficient resources (disk, memory, connections), operator intervention
    // (shutdown, cancelled by a timeout), system errors.
    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        // A read-only database; a role or database that does not exist (yet); a database that accepts no connections;
        // failed authentication; missing privileges.
        || ["25006", "3D000", "55000", "28000", "28P01", "42501"].contains(&code)
        // A table or column does not exist yet: migrations are pending.
        || ["42P01", "42703"].contains(&code)
}

/// The start of an error of Citus: the connection to a node broke while it committed.
const UNKNOWN_COMMIT: &str = "could not commit transaction for shard";

/// Whether an error of Citus means that a shard was split: the shard is gone (internal_error), or a statement about accounts of
/// one shard is now about two, which Citus does not support (feature_not_supported).
fn is_shard_split(code: &str, message: &str) -> bool {
    let messages: &[&str] = match code {
        "XX000" => &["could not find valid entry for shard"],
        "0A000" => &[
            "could not run distributed query with FOR UPDATE/SHARE",
            "cannot push down this subquery",
            "cannot perform a lateral outer join",
        ],
        _ => &[],
    };
    messages.iter().any(|start| message.starts_with(start))
}

/// The reason why a set of writes was not carried out. The rejection of a single write is an outcome and not an error.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The account's registry has changed since the writes were validated. They must be validated again.
    #[error("the registry has changed")]
    RegistryChanged,
    /// The `Idempotency-Key` was used for another request.
    #[error("the Idempotency-Key belongs to another request")]
    KeyReused,
    /// The response stored under the `Idempotency-Key` was erased, because it contained a contact that was purged.
    #[error("the stored response has been erased")]
    ResponsePurged,
    /// The writes must be stored in one transaction, and do not fit into its memory. Nothing was written.
    #[error("the writes do not fit into one transaction")]
    TooLarge,
    /// The database failed or is overloaded.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// The reason why a custom field was not created, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The account has no such custom field.
    #[error("no such field")]
    NotFound,
    /// The account has a field with this internal name, or with one that differs only in underscores before digits.
    #[error("a field with this or a similar name exists")]
    Duplicate,
    /// The account has the maximum number of custom fields, or of unique custom fields.
    #[error("too many fields")]
    TooMany {
        /// The maximum number.
        limit: usize,
        /// Whether the limit is the one for unique fields.
        unique: bool,
    },
    /// Contacts still use these options, which the change would remove.
    #[error("options are in use")]
    OptionsInUse(Vec<String>),
    /// The `Idempotency-Key` was used for another request.
    #[error("the Idempotency-Key belongs to another request")]
    KeyReused,
    /// The database failed or is overloaded.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for FieldError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_commit_leaves_it_unknown_whether_it_was_committed() {
        let error = StorageError::from_commit(sqlx::Error::Protocol("the connection broke".into()));
        assert!(matches!(error, StorageError::Unavailable(_)) && !error.is_retryable());
        let error = StorageError::from_commit(sqlx::Error::RowNotFound);
        assert!(matches!(error, StorageError::Unavailable(_)), "{error}");
    }

    #[test]
    fn shard_split_is_recognized_by_code_and_message() {
        assert!(is_shard_split("XX000", "could not find valid entry for shard 102008"));
        assert!(is_shard_split("0A000", "cannot push down this subquery"));
        assert!(!is_shard_split("XX000", "could not open relation"));
        assert!(!is_shard_split("0A000", "cached plan must not change result type"));
    }
}
