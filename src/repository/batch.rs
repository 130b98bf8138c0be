//! Many updates in one transaction: lock the contacts, apply the drafts to them in memory, store what changed.

use std::collections::{BTreeMap, HashMap};

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPool};
use uuid::Uuid;

use super::rows::{self, contact_columns};
use super::writer::{Job, Outcome, Update};
use super::{StorageError, WriteError};
use crate::contacts::Contact;
use crate::fields::system;

/// What became of an update in a batch.
pub(super) enum Settled {
    /// Its caller's answer.
    Answer(Outcome),
    /// The batch can't settle it: it has to be written alone.
    Alone,
}

/// Writes the updates, grouped by contact; returns after the commit what became of each, in the same order.
///
/// Updates of one contact follow one another in memory, and its row is written once. The order of the map is the order
/// in which rows are locked, on every instance.
///
/// # Errors
/// The database. Unless it is unavailable, nothing was written.
pub(super) async fn write(
    pool: &PgPool,
    by_contact: &BTreeMap<(Uuid, Uuid), Vec<Job>>,
) -> Result<Vec<Settled>, StorageError> {
    let mut transaction = pool.begin().await?;
    let versions = lock_registries(&mut transaction, by_contact).await?;
    let mut contacts = lock_contacts(&mut transaction, by_contact).await?;
    let mut settled = Vec::new();
    // The last state of each contact that changed: its account, and where among the settled it stands.
    let mut changed = Vec::new();
    for (key, jobs) in by_contact {
        let mut contact = contacts.remove(key);
        let mut last_change = None;
        for job in jobs {
            let update = &job.update;
            let depends = update.draft.touches_custom_fields();
            if depends && versions.get(&update.account).copied().unwrap_or(0) != update.registry.version() {
                settled.push(Settled::Answer(Err(WriteError::RegistryChanged)));
                continue;
            }
            let Some(current) = &mut contact else {
                settled.push(Settled::Alone);
                continue;
            };
            match apply(update, current) {
                Applied::Changed(next) => {
                    // What follows for the same contact builds on it.
                    if jobs.len() > 1 {
                        *current = next.clone();
                    }
                    last_change = Some((key.0, settled.len()));
                    settled.push(Settled::Answer(Ok(next)));
                }
                Applied::Settled(outcome) => settled.push(Settled::Answer(outcome)),
                Applied::ClaimsKeys => settled.push(Settled::Alone),
            }
        }
        changed.extend(last_change);
    }
    let changed: Vec<_> = changed
        .into_iter()
        .filter_map(|(account, index)| match &settled[index] {
            Settled::Answer(Ok(contact)) => Some((account, contact)),
            _ => None,
        })
        .collect();
    if changed.is_empty() {
        transaction.rollback().await?;
    } else {
        store(&mut transaction, &changed).await?;
        transaction.commit().await?;
    }
    Ok(settled)
}

/// What an update does to a contact as it is.
enum Applied {
    Changed(Contact),
    Settled(Outcome),
    /// It claims or releases unique keys, for which it may have to wait.
    ClaimsKeys,
}

fn apply(update: &Update, contact: &Contact) -> Applied {
    match update.apply(contact) {
        Ok(Some(next)) if contact.key_changes(&next, &update.registry).is_empty() => Applied::Changed(next),
        Ok(Some(_)) => Applied::ClaimsKeys,
        Ok(None) => Applied::Settled(Ok(contact.clone())),
        Err(error) => Applied::Settled(Err(error)),
    }
}

/// The versions of the registries that updates depend on, held until the end of the transaction.
async fn lock_registries(
    connection: &mut PgConnection,
    by_contact: &BTreeMap<(Uuid, Uuid), Vec<Job>>,
) -> Result<HashMap<Uuid, i64>, StorageError> {
    const LOCK: &str =
        "SELECT account_id, registry_version FROM accounts WHERE account_id = ANY ($1) ORDER BY account_id FOR SHARE";
    let depends = |jobs: &[Job]| jobs.iter().any(|job| job.update.draft.touches_custom_fields());
    let mut accounts: Vec<_> =
        by_contact.iter().filter(|(_, jobs)| depends(jobs)).map(|((account, _), _)| *account).collect();
    accounts.dedup();
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(LOCK).bind(accounts).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<sqlx::Result<_>>()?)
}

/// The contacts as they are now, locked until the end of the transaction. Those that someone else has locked are left
/// out: nobody waits for them here.
async fn lock_contacts(
    connection: &mut PgConnection,
    by_contact: &BTreeMap<(Uuid, Uuid), Vec<Job>>,
) -> Result<HashMap<(Uuid, Uuid), Contact>, StorageError> {
    const LOCK: &str = concat!(
        "SELECT ",
        contact_columns!(),
        ", c.account_id FROM unnest($1::uuid[], $2::uuid[]) AS k (account_id, id) \
         JOIN contacts c ON c.account_id = k.account_id AND c.id = k.id \
         ORDER BY c.account_id, c.id FOR NO KEY UPDATE OF c SKIP LOCKED"
    );
    let (accounts, ids): (Vec<_>, Vec<_>) = by_contact.keys().copied().unzip();
    let rows = sqlx::query(LOCK).bind(accounts).bind(ids).fetch_all(connection).await?;
    let keyed = |row: &_| {
        let contact = rows::contact(row)?;
        Ok(((rows::account(row)?, contact.id), contact))
    };
    Ok(rows.iter().map(keyed).collect::<sqlx::Result<_>>()?)
}

/// Stores the values of contacts that are locked.
async fn store(connection: &mut PgConnection, changed: &[(Uuid, &Contact)]) -> Result<(), StorageError> {
    const STORE: &str = "UPDATE contacts c SET version = n.version, updated_at = n.updated_at, custom = n.custom::jsonb, \
         first_name = n.first_name, last_name = n.last_name, email = n.email, contact_owner = n.contact_owner, \
         external_id = n.external_id, phone = n.phone, mobile_phone = n.mobile_phone, job_title = n.job_title, \
         company_name = n.company_name, website = n.website \
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[], \
         $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]) \
         AS n (account_id, id, version, updated_at, custom, first_name, last_name, email, contact_owner, external_id, \
         phone, mobile_phone, job_title, company_name, website) \
         WHERE c.account_id = n.account_id AND c.id = n.id";
    let custom = |contact: &Contact| {
        serde_json::to_string(&contact.values.custom()).map_err(|error| sqlx::Error::Encode(error.into()))
    };
    let mut query = sqlx::query(STORE)
        .bind(changed.iter().map(|(account, _)| *account).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, contact)| contact.id).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, contact)| contact.version).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, contact)| contact.updated_at).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, contact)| custom(contact)).collect::<Result<Vec<_>, _>>()?);
    for field in system::STORED {
        query = query.bind(changed.iter().map(|(_, contact)| contact.values.text(field)).collect::<Vec<_>>());
    }
    query.execute(connection).await?;
    Ok(())
}
