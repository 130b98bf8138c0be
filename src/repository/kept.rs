//! Answers that are kept under an `Idempotency-Key`, in the transaction of their effect (contract §6).

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::pool::Pool;
use super::writer::Keep;
use super::{StorageError, WriteError, rows};
use crate::contacts::now;

/// For how long a repeat gets the first answer.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer that is known under a key.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    fingerprint: Vec<u8>,
    /// `None` once a contact that it shows is purged.
    answer: Option<Vec<u8>>,
}

impl Kept {
    /// The answer that a request with this fingerprint gets, now that its key is known.
    ///
    /// # Errors
    /// [`WriteError::KeyReused`] or [`WriteError::AnswerPurged`].
    pub(super) fn replay(&self, fingerprint: &[u8]) -> Result<Vec<u8>, WriteError> {
        if self.fingerprint != fingerprint {
            return Err(WriteError::KeyReused);
        }
        self.answer.clone().ok_or(WriteError::AnswerPurged)
    }
}

/// An answer that is to be kept.
pub(super) struct NewKept {
    pub(super) key: String,
    pub(super) kept: Kept,
    contacts: Vec<Uuid>,
}

impl NewKept {
    /// What is kept of an answer that shows these contacts; `None` when it is not to be kept.
    pub(super) fn of<T: ?Sized>(keep: &Keep<T>, come: &T, contacts: Vec<Uuid>) -> Option<Self> {
        let kept = Kept { fingerprint: keep.fingerprint.to_vec(), answer: Some((keep.answer)(come)?) };
        Some(Self { key: keep.key.clone(), kept, contacts })
    }
}

/// The answer kept under a key of an account.
pub(super) async fn look_up(connection: &mut PgConnection, account: Uuid, key: &str) -> sqlx::Result<Option<Kept>> {
    let mut found = find(connection, &[account], &[key.to_owned()]).await?;
    Ok(found.pop().map(|(_, _, kept)| kept))
}

/// The answers kept under keys, each of the account at its place, with account and key.
pub(super) async fn find(
    connection: &mut PgConnection,
    accounts: &[Uuid],
    keys: &[String],
) -> sqlx::Result<Vec<(Uuid, String, Kept)>> {
    const FIND: &str = "SELECT a.account_id, a.key, a.fingerprint, a.answer \
                        FROM unnest($1::uuid[], $2::text[]) AS k (account_id, key) \
                        JOIN kept_answers a ON a.account_id = k.account_id AND a.key = k.key WHERE a.created_at > $3";
    let rows = sqlx::query(FIND).bind(accounts).bind(keys).bind(now() - LIFE).fetch_all(connection).await?;
    let found = rows.iter().map(|row| {
        let kept = Kept { fingerprint: row.try_get("fingerprint")?, answer: row.try_get("answer")? };
        Ok((rows::account(row)?, row.try_get("key")?, kept))
    });
    found.collect()
}

/// Keeps answers; those that have outlived their time under the same keys give way.
///
/// # Errors
/// [`StorageError::Stale`], when another request with one of the keys came first.
pub(super) async fn store(
    connection: &mut PgConnection,
    account: Uuid,
    answers: &[NewKept],
) -> Result<(), StorageError> {
    const STORE: &str = "INSERT INTO kept_answers AS k (account_id, key, fingerprint, answer, created_at) \
         SELECT $1, n.key, n.fingerprint, n.answer, $5 FROM unnest($2::text[], $3::bytea[], $4::bytea[]) AS n (key, fingerprint, answer) \
         ON CONFLICT (account_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, \
         created_at = excluded.created_at WHERE k.created_at <= $6";
    const SHOWN: &str = "INSERT INTO kept_contacts (account_id, contact_id, key) \
                         SELECT $1, * FROM unnest($2::uuid[], $3::text[]) ON CONFLICT DO NOTHING";
    if answers.is_empty() {
        return Ok(());
    }
    let now = now();
    let stored = sqlx::query(STORE)
        .bind(account)
        .bind(answers.iter().map(|new| new.key.as_str()).collect::<Vec<_>>())
        .bind(answers.iter().map(|new| new.kept.fingerprint.as_slice()).collect::<Vec<_>>())
        .bind(answers.iter().map(|new| new.kept.answer.as_deref()).collect::<Vec<_>>())
        .bind(now)
        .bind(now - LIFE);
    if stored.execute(&mut *connection).await?.rows_affected() != answers.len() as u64 {
        return Err(StorageError::Stale);
    }
    let shown = answers.iter().flat_map(|new| new.contacts.iter().map(|contact| (*contact, new.key.as_str())));
    let (contacts, keys): (Vec<_>, Vec<_>) = shown.unzip();
    sqlx::query(SHOWN).bind(account).bind(contacts).bind(keys).execute(connection).await?;
    Ok(())
}

/// Forgets the answers that show any of these contacts. Their keys stay taken: a late repeat must not bring a contact
/// back.
pub(super) async fn purge(connection: &mut PgConnection, accounts: &[Uuid], contacts: &[Uuid]) -> sqlx::Result<()> {
    const PURGE: &str = "WITH shown AS (DELETE FROM kept_contacts s USING unnest($1::uuid[], $2::uuid[]) AS p (account_id, id) \
         WHERE s.account_id = p.account_id AND s.contact_id = p.id RETURNING s.account_id, s.key) \
         UPDATE kept_answers a SET answer = NULL FROM shown s WHERE a.account_id = s.account_id AND a.key = s.key";
    sqlx::query(PURGE).bind(accounts).bind(contacts).execute(connection).await?;
    Ok(())
}

/// Deletes a few of an account's answers that have outlived their time. Returns whether there may be more.
pub(super) async fn sweep(pool: &Pool, account: Uuid) -> sqlx::Result<bool> {
    const STEP: i64 = 1_000;
    const OLD: &str =
        "SELECT key FROM kept_answers WHERE account_id = $1 AND created_at <= $2 ORDER BY created_at LIMIT $3";
    const DELETE: &str = "WITH gone AS (DELETE FROM kept_answers WHERE account_id = $1 AND key = ANY ($2) AND created_at <= $3 RETURNING key) \
         DELETE FROM kept_contacts s USING gone WHERE s.account_id = $1 AND s.key = gone.key";
    let before = now() - LIFE;
    let keys: Vec<String> =
        sqlx::query_scalar(OLD).bind(account).bind(before).bind(STEP).fetch_all(&mut *pool.acquire().await?).await?;
    if keys.is_empty() {
        return Ok(false);
    }
    sqlx::query(DELETE).bind(account).bind(&keys).bind(before).execute(&mut *pool.acquire().await?).await?;
    Ok(keys.len() as i64 == STEP)
}
