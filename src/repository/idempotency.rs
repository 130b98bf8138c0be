//! Stored responses to requests with an `Idempotency-Key`. Each is written in the transaction of the request's effect
//! (docs/api-reference.md#idempotency).

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use uuid::Uuid;

use super::error::{StorageError, WriteError};
use super::pool::{DatabaseConnection, Pool};
use super::row_mapping;
use super::statement::{
    ArrayColumn, ShardAccounts, column_names, join_accounts, rows_from_arrays, shard_condition, sql,
};

/// How long a repeated request gets the stored response of the first, by the clock of the database.
pub(super) const RETENTION: &str = "interval '24 hours'";

/// An `Idempotency-Key`, and how to build the response that is stored under it.
pub struct IdempotentRequest<T: ?Sized> {
    /// The key.
    pub key: String,
    /// A hash of the request that sent the key.
    pub fingerprint: [u8; 32],
    /// Builds the response from the request's outcome. Returns `None` when the response must not be stored.
    pub build_response: BuildStoredResponse<T>,
}

/// Builds the bytes of a response from the outcome of a request.
pub(crate) type BuildStoredResponse<T> = Box<dyn Fn(&T) -> Option<Vec<u8>> + Send + Sync>;

/// The result of a request that may be a repeat. All its effects are committed.
#[derive(Debug)]
pub enum Idempotent<T> {
    /// The outcome of the request, which was carried out now.
    Fresh(T),
    /// The response of the request, which was carried out now and has stored it.
    Stored(Bytes),
    /// The response that was stored when the same request was carried out before.
    Replayed(Bytes),
}

/// A response that is stored under a key.
#[derive(Debug, Clone)]
pub(super) struct StoredResponse {
    fingerprint: Vec<u8>,
    /// `None` once a contact in it is purged, and if it was not read because it belongs to another request.
    response: Option<Bytes>,
}

impl StoredResponse {
    /// Returns the response for a request that sends the same key.
    ///
    /// # Errors
    /// [`WriteError::KeyReused`] when the fingerprint differs; [`WriteError::ResponsePurged`] when a contact in the
    /// response has been purged.
    pub(super) fn replay(&self, fingerprint: &[u8]) -> Result<Bytes, WriteError> {
        if self.fingerprint != fingerprint {
            return Err(WriteError::KeyReused);
        }
        self.response.clone().ok_or(WriteError::ResponsePurged)
    }

    /// Returns the response; `None` once it is erased.
    pub(super) fn response(&self) -> Option<&Bytes> {
        self.response.as_ref()
    }

    /// Replaces the response, unless it is erased.
    pub(super) fn replace_response(&mut self, response: Bytes) {
        self.response = self.response.take().map(|_| response);
    }

    /// Erases the response, because a contact in it is purged.
    pub(super) fn erase(&mut self) {
        self.response = None;
    }
}

/// A response to be stored.
pub(super) struct NewStoredResponse {
    pub(super) key: String,
    pub(super) stored: StoredResponse,
    /// The ids of the contacts in the response.
    contacts: Vec<Uuid>,
}

impl NewStoredResponse {
    /// Builds the response from `outcome`, which contains these contacts. Returns `None` when the response must not be
    /// stored.
    pub(super) fn new<T: ?Sized>(request: &IdempotentRequest<T>, outcome: &T, contacts: Vec<Uuid>) -> Option<Self> {
        let response = Some((request.build_response)(outcome)?.into());
        let stored = StoredResponse { fingerprint: request.fingerprint.to_vec(), response };
        Some(Self { key: request.key.clone(), stored, contacts })
    }
}

/// Returns the unexpired response stored under the key of a request.
pub(super) async fn find_response<T: ?Sized>(
    connection: &mut DatabaseConnection,
    account: Uuid,
    request: &IdempotentRequest<T>,
    shard: &ShardAccounts,
) -> sqlx::Result<Option<StoredResponse>> {
    let mut keys = IdempotencyKeys::default();
    keys.add(account, &request.key, &request.fingerprint);
    let responses: Vec<_> = keys.find_responses(connection, shard).try_collect().await?;
    Ok(responses.into_iter().next().map(|(_, _, stored)| stored))
}

/// The idempotency keys of requests, each with its account and the fingerprint of the request.
#[derive(Default)]
pub(super) struct IdempotencyKeys {
    accounts: Vec<Uuid>,
    keys: Vec<String>,
    fingerprints: Vec<Vec<u8>>,
}

impl IdempotencyKeys {
    pub(super) fn add(&mut self, account: Uuid, key: &str, fingerprint: &[u8]) {
        self.accounts.push(account);
        self.keys.push(key.to_owned());
        self.fingerprints.push(fingerprint.to_vec());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the unexpired responses stored under these keys, each with its account and key. A response to another
    /// request is not read: it can be large.
    pub(super) fn find_responses<'c>(
        self,
        connection: &'c mut DatabaseConnection,
        shard: &'c ShardAccounts,
    ) -> impl Stream<Item = sqlx::Result<(Uuid, String, StoredResponse)>> + Unpin + 'c {
        let find = sql!(
            "SELECT s.account_id, s.key, s.fingerprint, \
             CASE WHEN s.fingerprint = k.fingerprint THEN s.response END AS response \
             FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS k (account_id, key, fingerprint) CROSS JOIN LATERAL \
             (SELECT * FROM idempotency_keys t WHERE account_id = k.account_id AND key = k.key AND {} LIMIT 1) s \
             WHERE s.created_at > now() - {RETENTION}",
            shard_condition("t", 4)
        );
        let find = sqlx::query(find).bind(self.accounts).bind(self.keys).bind(self.fingerprints).bind(shard);
        find.fetch(connection).map(|row| {
            let row = row?;
            let response: Option<Vec<u8>> = row.try_get("response")?;
            let stored =
                StoredResponse { fingerprint: row.try_get("fingerprint")?, response: response.map(Bytes::from) };
            Ok((row_mapping::account_from_row(&row)?, row.try_get("key")?, stored))
        })
    }
}

/// Stores responses, each with its account. A response that has expired under the same key is replaced, and the purge of
/// a contact in it no longer erases the response that is stored under the key now.
///
/// # Errors
/// [`StorageError::Stale`] when another request has stored a response under one of the keys meanwhile.
pub(super) async fn store_responses(
    connection: &mut DatabaseConnection,
    responses: &[(Uuid, &NewStoredResponse)],
    shard: &ShardAccounts,
) -> Result<(), StorageError> {
    // `xmax` is 0 in a row that was inserted, and this transaction in a row that was updated.
    let store = sql!(
        "WITH stored AS (INSERT INTO idempotency_keys AS k (account_id, key, fingerprint, response, created_at) \
         SELECT a.account_id, n.key, n.fingerprint, n.response, now() \
         FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[]) AS n (account_id, key, fingerprint, response) {} \
         ON CONFLICT (account_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
         response = excluded.response, created_at = excluded.created_at \
         WHERE excluded.created_at - k.created_at >= {RETENTION} \
         RETURNING k.account_id, k.key, k.xmax <> 0 AS is_replaced), response_contacts AS ({}) \
         SELECT account_id, key, is_replaced FROM stored",
        join_accounts(8),
        insert_response_contacts_sql(5, "a", &join_accounts(8))
    );
    if responses.is_empty() {
        return Ok(());
    }
    let store = bind_responses(sqlx::query(store), responses);
    let stored = bind_response_contacts(store, responses).bind(shard).fetch_all(&mut *connection).await?;
    if stored.len() != responses.len() {
        return Err(StorageError::Stale);
    }
    let mut replaced = HashSet::new();
    for row in &stored {
        if row.try_get("is_replaced")? {
            replaced.insert((row_mapping::account_from_row(row)?, row.try_get::<String, _>("key")?));
        }
    }
    let is_replaced = |(account, new): &&(Uuid, &NewStoredResponse)| replaced.contains(&(*account, new.key.clone()));
    let replaced: Vec<_> = responses.iter().filter(is_replaced).copied().collect();
    replace_response_contacts(connection, &replaced, shard).await
}

/// The columns of responses to be stored.
const RESPONSE_COLUMNS: [ArrayColumn; 4] =
    [("account_id", "uuid"), ("key", "text"), ("fingerprint", "bytea"), ("response", "bytea")];

/// Returns common table expressions that insert responses, and their contacts, with the parameters of
/// [`bind_new_responses`] from `first` on. `join` restricts their rows `n`. `responses` returns a row for each response that
/// was inserted, which means that no other one was stored under the same key.
pub(super) fn insert_new_responses_sql(first: usize, join: &str) -> String {
    let names = column_names(&RESPONSE_COLUMNS);
    format!(
        "responses AS (INSERT INTO idempotency_keys ({names}, created_at) \
         SELECT n.account_id, n.key, n.fingerprint, n.response, now() FROM {} {join} ON CONFLICT DO NOTHING RETURNING 1), \
         response_contacts AS ({})",
        rows_from_arrays(first, &RESPONSE_COLUMNS),
        insert_response_contacts_sql(first + RESPONSE_COLUMNS.len(), "n", join)
    )
}

/// Binds the parameters of [`insert_new_responses_sql`].
pub(super) fn bind_new_responses<'a>(
    query: Query<'a, Postgres, PgArguments>,
    responses: &[(Uuid, &'a NewStoredResponse)],
) -> Query<'a, Postgres, PgArguments> {
    bind_response_contacts(bind_responses(query, responses), responses)
}

/// Binds the account, key, fingerprint and content of responses.
fn bind_responses<'a>(
    query: Query<'a, Postgres, PgArguments>,
    responses: &[(Uuid, &'a NewStoredResponse)],
) -> Query<'a, Postgres, PgArguments> {
    query
        .bind(responses.iter().map(|(account, _)| *account).collect::<Vec<_>>())
        .bind(responses.iter().map(|(_, new)| new.key.as_str()).collect::<Vec<_>>())
        .bind(responses.iter().map(|(_, new)| new.stored.fingerprint.as_slice()).collect::<Vec<_>>())
        .bind(responses.iter().map(|(_, new)| new.stored.response.as_deref()).collect::<Vec<_>>())
}

/// Returns the statement that inserts the contacts of responses, with the parameters of [`bind_response_contacts`] from
/// `first` on. `join` restricts their rows `n`, and `account` is the table of it that has the accounts.
fn insert_response_contacts_sql(first: usize, account: &str, join: &str) -> String {
    format!(
        "INSERT INTO idempotency_key_contacts (account_id, contact_id, key) \
         SELECT {account}.account_id, n.contact_id, n.key FROM {} {join} ON CONFLICT DO NOTHING",
        rows_from_arrays(first, &[("account_id", "uuid"), ("contact_id", "uuid"), ("key", "text")])
    )
}

fn bind_response_contacts<'a>(
    query: Query<'a, Postgres, PgArguments>,
    responses: &[(Uuid, &'a NewStoredResponse)],
) -> Query<'a, Postgres, PgArguments> {
    let contacts: Vec<_> = responses
        .iter()
        .flat_map(|(account, new)| new.contacts.iter().map(|contact| (*account, *contact, new.key.as_str())))
        .collect();
    query
        .bind(contacts.iter().map(|(account, ..)| *account).collect::<Vec<_>>())
        .bind(contacts.iter().map(|(_, contact, _)| *contact).collect::<Vec<_>>())
        .bind(contacts.iter().map(|(.., key)| *key).collect::<Vec<_>>())
}

/// Replaces the contacts of the expired responses under these keys by the contacts of the new responses. A single statement
/// cannot do both, because a contact may be in the expired response and in the new one.
async fn replace_response_contacts(
    connection: &mut DatabaseConnection,
    responses: &[(Uuid, &NewStoredResponse)],
    shard: &ShardAccounts,
) -> Result<(), StorageError> {
    let delete = sql!(
        "DELETE FROM idempotency_key_contacts s USING unnest($1::uuid[], $2::text[]) AS n (account_id, key) \
         CROSS JOIN LATERAL (SELECT ctid AS row_id FROM idempotency_key_contacts t \
         WHERE account_id = n.account_id AND key = n.key AND {} OFFSET 0) r WHERE s.ctid = r.row_id AND {}",
        shard_condition("t", 3),
        shard_condition("s", 3)
    );
    if responses.is_empty() {
        return Ok(());
    }
    let (accounts, keys): (Vec<_>, Vec<_>) =
        responses.iter().map(|(account, new)| (*account, new.key.as_str())).unzip();
    sqlx::query(delete).bind(accounts).bind(keys).bind(shard).execute(&mut *connection).await?;
    let insert = sql!("{}", insert_response_contacts_sql(1, "a", &join_accounts(4)));
    bind_response_contacts(sqlx::query(insert), responses).bind(shard).execute(connection).await?;
    Ok(())
}

/// Erases the stored responses that contain any of these contacts. Their keys stay in use: a late repetition of a
/// request must not create the contact again.
pub(super) async fn purge_responses(
    connection: &mut DatabaseConnection,
    accounts: &[Uuid],
    contacts: &[Uuid],
    shard: &ShardAccounts,
) -> sqlx::Result<()> {
    let purge = sql!(
        "WITH purged AS (DELETE FROM idempotency_key_contacts s \
         USING unnest($1::uuid[], $2::uuid[]) AS p (account_id, id) CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM idempotency_key_contacts t \
         WHERE account_id = p.account_id AND contact_id = p.id AND {t} OFFSET 0) r \
         WHERE s.ctid = r.row_id AND {s} RETURNING s.account_id, s.key) \
         UPDATE idempotency_keys k SET response = NULL FROM purged p CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM idempotency_keys t WHERE account_id = p.account_id AND key = p.key AND {t} LIMIT 1) r \
         WHERE k.ctid = r.row_id AND {k}",
        t = shard_condition("t", 3),
        s = shard_condition("s", 3),
        k = shard_condition("k", 3)
    );
    sqlx::query(purge).bind(accounts).bind(contacts).bind(shard).execute(connection).await?;
    Ok(())
}

/// Deletes up to 1,000 expired responses of an account. Returns whether there may be more.
pub(super) async fn delete_expired_responses(pool: &Pool, account: Uuid) -> sqlx::Result<bool> {
    const MAX_DELETED: i64 = 1_000;
    let expired = sql!(
        "SELECT key FROM idempotency_keys WHERE account_id = $1 AND created_at <= now() - {RETENTION} ORDER BY created_at LIMIT $2"
    );
    let delete = sql!(
        "WITH deleted AS (DELETE FROM idempotency_keys k USING unnest($2::text[]) AS n (key) CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM idempotency_keys WHERE account_id = $1 AND key = n.key \
         AND created_at <= now() - {RETENTION} LIMIT 1) r WHERE k.ctid = r.row_id AND k.account_id = $1 RETURNING k.key) \
         DELETE FROM idempotency_key_contacts s USING deleted d CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM idempotency_key_contacts WHERE account_id = $1 AND key = d.key OFFSET 0) r \
         WHERE s.ctid = r.row_id AND s.account_id = $1"
    );
    let expired = sqlx::query_scalar(expired).bind(account).bind(MAX_DELETED);
    let keys: Vec<String> = expired.fetch_all(&mut pool.acquire().await?).await?;
    if keys.is_empty() {
        return Ok(false);
    }
    sqlx::query(delete).bind(account).bind(&keys).execute(&mut pool.acquire().await?).await?;
    Ok(keys.len() as i64 == MAX_DELETED)
}
