//! Stores what a batch of writes did, in a few statements however many contacts it is about.
//!
//! Each account moves on from the state that was read to the next one under its lock, which is held until the commit.
//! An account that someone else is writing, or has written meanwhile, is left out: what was read of it no longer holds.

use std::collections::HashSet;

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use uuid::Uuid;

use super::columns::{ChangeColumns, ContactColumns, KeyColumns, contact_rows, rows_of};
use super::group::Group;
use super::insert::{self, told};
use crate::contacts::Contact;
use crate::repository::{StorageError, kept};

/// An account and a contact of it.
pub(super) type ContactKey = (Uuid, Uuid);

/// Moves accounts on: the parameters are the account, the registry's version and the position that were read, and the
/// next position. Rows are locked in one order.
macro_rules! moved {
    ($account:literal, $registry:literal, $position:literal, $next:literal) => {
        concat!(
            "free AS (SELECT a.account_id, n.next FROM unnest(",
            $account,
            "::uuid[], ",
            $registry,
            "::bigint[], ",
            $position,
            "::bigint[], ",
            $next,
            "::bigint[]) AS n (account_id, registry, position, next) JOIN accounts a ON a.account_id = n.account_id \
             WHERE a.registry_version = n.registry AND a.last_position = n.position \
             ORDER BY a.account_id FOR NO KEY UPDATE OF a SKIP LOCKED), \
             moved AS (UPDATE accounts a SET last_position = f.next FROM free f WHERE a.account_id = f.account_id \
             RETURNING a.account_id)"
        )
    };
}

/// The columns that every change of a contact writes.
macro_rules! assignments {
    () => {
        "version = n.version, position = n.position, updated_at = n.updated_at, custom = n.custom::jsonb, \
         first_name = n.first_name, last_name = n.last_name, email = n.email, contact_owner = n.contact_owner, \
         external_id = n.external_id, phone = n.phone, mobile_phone = n.mobile_phone, job_title = n.job_title, \
         company_name = n.company_name, website = n.website"
    };
}

/// Stores groups whose jobs only change values of active contacts, and no keys: one statement, and so one transaction.
/// Returns the contacts that were stored.
pub(super) async fn values(
    connection: &mut PgConnection,
    groups: &[&Group],
) -> Result<HashSet<ContactKey>, StorageError> {
    const STORE: &str = concat!(
        "WITH ",
        moved!("$18", "$19", "$20", "$21"),
        ", stored AS (UPDATE contacts c SET ",
        assignments!(),
        " FROM ",
        contact_rows!("", ""),
        " JOIN moved m ON m.account_id = n.account_id \
         WHERE c.account_id = n.account_id AND c.id = n.id AND c.version = n.base RETURNING c.account_id, c.id), told AS (",
        told!(
            "$22::uuid[], $23::bigint[], $24::uuid[], $25::bigint[], $26::text[], $27::text[], $28::timestamptz[], $29::text[]"
        ),
        " JOIN stored s ON s.account_id = n.account_id AND s.id = n.contact_id) SELECT account_id, id FROM stored"
    );
    let query = ContactColumns::of(updated(groups))?.bind_values(sqlx::query(STORE));
    let query = ChangeColumns::of(groups)?.bind(bind_accounts(query, groups));
    rows_of(query.fetch_all(connection).await?, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
}

/// Stores groups of any kind, within a transaction of the caller's. Returns the accounts that were written; what
/// concerns the others was left out.
///
/// # Errors
/// The database, and [`StorageError::Stale`] when a contact is not as it was read. The transaction must go then.
pub(super) async fn everything(
    transaction: &mut PgConnection,
    groups: &[&Group],
) -> Result<HashSet<Uuid>, StorageError> {
    let moved = move_accounts(transaction, groups).await?;
    let groups: Vec<_> = groups.iter().copied().filter(|group| moved.contains(&group.account)).collect();
    if !groups.is_empty() {
        update_contacts(transaction, &groups).await?;
        insert::contacts(transaction, &groups).await?;
        // First what is given up, then what is claimed.
        give_up_keys(transaction, &groups).await?;
        insert::keys(transaction, &groups).await?;
        insert::changes(transaction, &groups).await?;
        for group in &groups {
            kept::store(transaction, group.account, &group.new_kept).await?;
        }
        purge(transaction, &groups).await?;
    }
    Ok(moved)
}

/// Moves the accounts on that are as they were read and free. Returns them; they are locked from then on.
async fn move_accounts(connection: &mut PgConnection, groups: &[&Group]) -> Result<HashSet<Uuid>, StorageError> {
    const MOVE: &str = concat!("WITH ", moved!("$1", "$2", "$3", "$4"), " SELECT account_id FROM moved");
    let moved = bind_accounts(sqlx::query(MOVE), groups).fetch_all(connection).await?;
    rows_of(moved, |row| row.try_get(0))
}

/// Binds the parameters of `moved!`.
fn bind_accounts<'a>(query: Query<'a, Postgres, PgArguments>, groups: &[&Group]) -> Query<'a, Postgres, PgArguments> {
    let state = |group: &&Group| group.state.unwrap_or_default();
    query
        .bind(groups.iter().map(|group| group.account).collect::<Vec<_>>())
        .bind(groups.iter().map(|group| state(group).registry).collect::<Vec<_>>())
        .bind(groups.iter().map(|group| state(group).position).collect::<Vec<_>>())
        .bind(groups.iter().map(|group| group.workspace.position()).collect::<Vec<_>>())
}

/// The contacts that have changed, each with its account and the version that it had.
fn updated<'a>(groups: &'a [&'a Group]) -> impl Iterator<Item = (Uuid, i64, &'a Contact)> {
    groups
        .iter()
        .flat_map(|group| group.effects.updated.iter().map(|(base, contact)| (group.account, *base, &**contact)))
}

async fn update_contacts(connection: &mut PgConnection, groups: &[&Group]) -> Result<(), StorageError> {
    const UPDATE: &str = concat!(
        "UPDATE contacts c SET ",
        assignments!(),
        ", archived_at = n.archived_at, archived_by = n.archived_by FROM ",
        contact_rows!(", $18::timestamptz[], $19::text[]", ", archived_at, archived_by"),
        " WHERE c.account_id = n.account_id AND c.id = n.id AND c.version = n.base"
    );
    let columns = ContactColumns::of(updated(groups))?;
    if columns.is_empty() {
        return Ok(());
    }
    let count = columns.len();
    let done = columns.bind_archival(columns.bind_values(sqlx::query(UPDATE))).execute(connection).await?;
    // Someone who does not take the account's lock was here.
    if done.rows_affected() == count as u64 { Ok(()) } else { Err(StorageError::Stale) }
}

async fn give_up_keys(connection: &mut PgConnection, groups: &[&Group]) -> Result<(), StorageError> {
    const DELETE: &str = "DELETE FROM contact_keys k USING unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[]) \
         AS n (account_id, contact_id, field_id, key) WHERE k.account_id = n.account_id AND k.contact_id = n.contact_id \
         AND k.field_id = n.field_id AND k.key = n.key";
    let gone = groups
        .iter()
        .flat_map(|group| group.effects.keys_gone.iter().map(|(contact, key)| (group.account, *contact, key)));
    let gone = KeyColumns::of(gone);
    if !gone.is_empty() {
        gone.bind(sqlx::query(DELETE)).execute(connection).await?;
    }
    Ok(())
}

/// Removes purged contacts with every value of them, also from the feed and from kept answers.
async fn purge(connection: &mut PgConnection, groups: &[&Group]) -> Result<(), StorageError> {
    const CONTACTS: &str = "DELETE FROM contacts c USING unnest($1::uuid[], $2::uuid[]) AS n (account_id, id) \
                            WHERE c.account_id = n.account_id AND c.id = n.id";
    const KEYS: &str = "DELETE FROM contact_keys k USING unnest($1::uuid[], $2::uuid[]) AS n (account_id, id) \
                        WHERE k.account_id = n.account_id AND k.contact_id = n.id";
    const CHANGES: &str = "WITH RECURSIVE told AS ( \
             SELECT h.account_id, h.position, h.previous FROM unnest($1::uuid[], $2::bigint[]) AS n (account_id, position) \
             JOIN changes h ON h.account_id = n.account_id AND h.position = n.position \
             UNION ALL SELECT h.account_id, h.position, h.previous FROM told t \
             JOIN changes h ON h.account_id = t.account_id AND h.position = t.previous) \
         UPDATE changes h SET changed = '{}' FROM told t WHERE h.account_id = t.account_id AND h.position = t.position";
    let purged = groups.iter().flat_map(|group| group.effects.purged.iter().map(|purged| (group.account, *purged)));
    let (accounts, purged): (Vec<_>, Vec<_>) = purged.unzip();
    if accounts.is_empty() {
        return Ok(());
    }
    let (ids, positions): (Vec<_>, Vec<_>) = purged.into_iter().unzip();
    for statement in [CONTACTS, KEYS] {
        sqlx::query(statement).bind(&accounts).bind(&ids).execute(&mut *connection).await?;
    }
    sqlx::query(CHANGES).bind(&accounts).bind(positions).execute(&mut *connection).await?;
    kept::purge(connection, &accounts, &ids).await?;
    Ok(())
}
