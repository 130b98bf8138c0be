//! Unique keys. A key is claimed by inserting its row: the index decides, never a look before.

use sqlx::Row;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::WriteError;
use crate::contacts::{Collision, UniqueKey};
use crate::fields::{FieldId, Registry};

/// Claims `keys` for a contact. Waits for claims and releases under way by others.
///
/// # Errors
/// [`WriteError::Duplicate`] with every key that another active contact holds; what was claimed then goes with
/// the transaction.
pub(super) async fn claim(
    connection: &mut PgConnection,
    account: Uuid,
    contact: Uuid,
    keys: &[UniqueKey],
) -> Result<(), WriteError> {
    const CLAIM: &str = "INSERT INTO contact_keys (account_id, contact_id, field_id, key, active) \
                         SELECT $1, $2, field_id, key, true FROM unnest($3::integer[], $4::text[]) AS k (field_id, key) \
                         ORDER BY field_id, key COLLATE \"C\" ON CONFLICT DO NOTHING";
    if keys.is_empty() {
        return Ok(());
    }
    let (fields, texts) = columns(keys);
    let claim = sqlx::query(CLAIM).bind(account).bind(contact).bind(fields).bind(texts);
    if claim.execute(&mut *connection).await?.rows_affected() == keys.len() as u64 {
        return Ok(());
    }
    Err(WriteError::Duplicate(holders(connection, account, contact, keys).await?))
}

/// The other active contacts that hold any of `keys`. None, when they let go of them meanwhile.
async fn holders(
    connection: &mut PgConnection,
    account: Uuid,
    contact: Uuid,
    keys: &[UniqueKey],
) -> sqlx::Result<Vec<Collision>> {
    const HOLDERS: &str = "SELECT h.field_id, h.contact_id FROM unnest($3::integer[], $4::text[]) AS k (field_id, key) \
                           JOIN contact_keys h ON h.account_id = $1 AND h.field_id = k.field_id AND h.key = k.key AND h.active \
                           WHERE h.contact_id <> $2 ORDER BY h.field_id";
    let (fields, texts) = columns(keys);
    let holders =
        sqlx::query(HOLDERS).bind(account).bind(contact).bind(fields).bind(texts).fetch_all(connection).await?;
    let collision =
        |row: &_| Ok(Collision { field: FieldId(Row::try_get(row, 0)?), existing_id: Row::try_get(row, 1)? });
    holders.iter().map(collision).collect()
}

/// Gives up `keys` of a contact.
pub(super) async fn release(
    connection: &mut PgConnection,
    account: Uuid,
    contact: Uuid,
    keys: &[UniqueKey],
) -> sqlx::Result<()> {
    const RELEASE: &str = "DELETE FROM contact_keys USING unnest($3::integer[], $4::text[]) AS k (field_id, key) \
                           WHERE account_id = $1 AND contact_id = $2 AND contact_keys.field_id = k.field_id AND contact_keys.key = k.key";
    if keys.is_empty() {
        return Ok(());
    }
    let (fields, texts) = columns(keys);
    sqlx::query(RELEASE).bind(account).bind(contact).bind(fields).bind(texts).execute(connection).await?;
    Ok(())
}

/// Lets others have the keys of a contact that is being archived; the contact can still be found by them.
pub(super) async fn suspend(connection: &mut PgConnection, account: Uuid, contact: Uuid) -> sqlx::Result<()> {
    const SUSPEND: &str = "UPDATE contact_keys SET active = false WHERE account_id = $1 AND contact_id = $2";
    sqlx::query(SUSPEND).bind(account).bind(contact).execute(connection).await?;
    Ok(())
}

/// Claims the suspended keys of a contact again, but for those of fields that are gone.
///
/// # Errors
/// As [`claim`].
pub(super) async fn resume(
    connection: &mut PgConnection,
    account: Uuid,
    contact: Uuid,
    registry: &Registry,
) -> Result<(), WriteError> {
    const TAKE: &str =
        "DELETE FROM contact_keys WHERE account_id = $1 AND contact_id = $2 AND NOT active RETURNING field_id, key";
    let taken = sqlx::query(TAKE).bind(account).bind(contact).fetch_all(&mut *connection).await?;
    let key = |row: &_| Ok(UniqueKey { field: FieldId(Row::try_get(row, 0)?), key: Row::try_get(row, 1)? });
    let mut keys = taken.iter().map(key).collect::<sqlx::Result<Vec<_>>>()?;
    keys.retain(|key| registry.by_id(key.field).is_some());
    keys.sort_unstable();
    claim(connection, account, contact, &keys).await
}

fn columns(keys: &[UniqueKey]) -> (Vec<i32>, Vec<&str>) {
    keys.iter().map(|key| (key.field.0, key.key.as_str())).unzip()
}
