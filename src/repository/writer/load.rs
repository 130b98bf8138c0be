//! Reads what a batch of writes is about: the state of its accounts, the contacts it names, the holders of the keys it
//! claims.
//!
//! The state of the account comes first. Should anything change afterwards, it shows when the batch is stored, or when
//! another read finds the account in another state.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::group::{AccountState, Group};
use crate::contacts::{UniqueKey, Wanted};
use crate::repository::rows::{self, contact_columns};
use crate::repository::{StorageError, kept};

/// Fills the workspaces of all groups.
pub(super) async fn load(
    connection: &mut PgConnection,
    groups: &mut BTreeMap<Uuid, Group>,
) -> Result<(), StorageError> {
    // A group that names no contact is asked for one that can't be there: it needs its account all the same.
    let mut wanted: Vec<_> = groups.values().map(|group| (group.account, group.wanted())).collect();
    for (_, wanted) in wanted.iter_mut().filter(|(_, wanted)| wanted.ids.is_empty()) {
        wanted.ids.push(Uuid::nil());
    }
    while !wanted.is_empty() {
        let (ids, keys) = flat(wanted);
        contacts(connection, groups, ids).await?;
        holders(connection, groups, keys).await?;
        wanted = groups.values().map(|group| (group.account, group.wanted())).collect();
        wanted.retain(|(_, wanted)| !wanted.ids.is_empty() || !wanted.keys.is_empty());
    }
    // Last: when a twin's answer is not there, nothing of what it did was there before either. Read first, it could be
    // missed and its effect seen, and this job be refused for what its own twin did.
    answers(connection, groups).await
}

/// Things, each with the account that it belongs to.
type OfAccounts<T> = Vec<(Uuid, T)>;

/// The contacts and keys that are wanted.
fn flat(wanted: OfAccounts<Wanted>) -> (OfAccounts<Uuid>, OfAccounts<UniqueKey>) {
    let (mut ids, mut keys) = (vec![], vec![]);
    for (account, wanted) in wanted {
        ids.extend(wanted.ids.into_iter().map(|id| (account, id)));
        keys.extend(wanted.keys.into_iter().map(|key| (account, key)));
    }
    (ids, keys)
}

async fn contacts(
    connection: &mut PgConnection,
    groups: &mut BTreeMap<Uuid, Group>,
    wanted: OfAccounts<Uuid>,
) -> Result<(), StorageError> {
    // The row of an account changes with every batch, and may have many dead versions: it is read once, not for each
    // of its contacts.
    const READ: &str = concat!(
        "WITH a AS MATERIALIZED (SELECT account_id, registry_version, last_position FROM accounts WHERE account_id = ANY ($3)) SELECT ",
        contact_columns!(),
        ", k.account_id, k.id AS wanted, a.registry_version, a.last_position \
         FROM unnest($1::uuid[], $2::uuid[]) AS k (account_id, id) \
         LEFT JOIN a ON a.account_id = k.account_id \
         LEFT JOIN contacts c ON c.account_id = k.account_id AND c.id = k.id"
    );
    if wanted.is_empty() {
        return Ok(());
    }
    let (accounts, ids): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
    let mut distinct = accounts.clone();
    distinct.dedup();
    for row in sqlx::query(READ).bind(accounts).bind(ids).bind(distinct).fetch_all(connection).await? {
        let Some(group) = groups.get_mut(&rows::account(&row)?) else { continue };
        let registry: Option<i64> = row.try_get("registry_version")?;
        let state = registry.map(|registry| Ok(AccountState { registry, position: row.try_get("last_position")? }));
        group.know_account(state.transpose().map_err(|error: sqlx::Error| error)?);
        let found: Option<Uuid> = row.try_get("id")?;
        let contact = found.map(|_| rows::contact(&row)).transpose()?;
        group.workspace.know_contact(row.try_get("wanted")?, contact);
    }
    Ok(())
}

async fn holders(
    connection: &mut PgConnection,
    groups: &mut BTreeMap<Uuid, Group>,
    wanted: OfAccounts<UniqueKey>,
) -> Result<(), StorageError> {
    const FIND: &str = "SELECT k.number, h.contact_id \
                        FROM unnest($1::uuid[], $2::integer[], $3::text[]) WITH ORDINALITY AS k (account_id, field_id, key, number) \
                        JOIN contact_keys h ON h.account_id = k.account_id AND h.field_id = k.field_id AND h.key = k.key AND h.active";
    if wanted.is_empty() {
        return Ok(());
    }
    let accounts: Vec<_> = wanted.iter().map(|(account, _)| *account).collect();
    let fields: Vec<_> = wanted.iter().map(|(_, key)| key.field.0).collect();
    let keys: Vec<_> = wanted.iter().map(|(_, key)| key.key.as_str()).collect();
    let found = sqlx::query(FIND).bind(accounts).bind(fields).bind(keys).fetch_all(connection).await?;
    let mut holders = vec![None; wanted.len()];
    for row in found {
        let number: i64 = row.try_get(0)?;
        if let Some(holder) = usize::try_from(number - 1).ok().and_then(|index| holders.get_mut(index)) {
            *holder = Some(row.try_get(1)?);
        }
    }
    for ((account, key), holder) in wanted.into_iter().zip(holders) {
        if let Some(group) = groups.get_mut(&account) {
            group.workspace.know_holder(key, holder);
        }
    }
    Ok(())
}

/// The answers kept under the keys of all jobs.
async fn answers(connection: &mut PgConnection, groups: &mut BTreeMap<Uuid, Group>) -> Result<(), StorageError> {
    let keys = groups.values().flat_map(|group| {
        group.jobs.iter().filter_map(|job| Some((group.account, job.work.keep.as_ref()?.key.clone())))
    });
    let (accounts, keys): (Vec<_>, Vec<_>) = keys.unzip();
    if keys.is_empty() {
        return Ok(());
    }
    for (account, key, kept) in kept::find(connection, &accounts, &keys).await? {
        if let Some(group) = groups.get_mut(&account) {
            group.kept.insert(key, kept);
        }
    }
    Ok(())
}
