//! Many updates in two statements: read the contacts, apply the drafts to them in memory, and store those that nobody
//! has changed meanwhile. The second statement is the transaction: it checks again all that the first one saw.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::StorageError;
use super::rows::{self, contact_columns};
use super::writer::{Job, Outcome, Update};
use crate::contacts::Contact;
use crate::fields::system;

/// An account and a contact of it.
pub(super) type Key = (Uuid, Uuid);

/// What became of an update in a batch.
pub(super) enum Settled {
    /// Its caller's answer.
    Answer(Outcome),
    /// The batch can't settle it: it has to be written alone.
    Alone,
}

/// A contact that is to be stored.
struct Change<'a> {
    account: Uuid,
    contact: &'a Contact,
    /// The version it was made from.
    base: i64,
    /// The version of the account's registry, where the change depends on it.
    registry: Option<i64>,
}

/// Writes the updates, grouped by contact; returns after the commit what became of each, in the same order.
///
/// Updates of one contact follow one another in memory, and its row is written once. A contact that someone else changes
/// or holds at the same time is left to be written alone.
///
/// # Errors
/// The database. Unless it is unavailable, nothing was written.
pub(super) async fn write(pool: &PgPool, by_contact: &BTreeMap<Key, Vec<Job>>) -> Result<Vec<Settled>, StorageError> {
    let mut connection = pool.acquire().await?;
    let contacts = read(&mut connection, by_contact).await?;
    let groups: Vec<_> = by_contact.iter().map(|(key, jobs)| Group::of(*key, jobs, contacts.get(key))).collect();
    let changes: Vec<_> = groups.iter().filter_map(Group::change).collect();
    let stored = if changes.is_empty() { HashSet::new() } else { store(&mut connection, &changes).await? };
    Ok(groups.into_iter().flat_map(|group| group.settle(&stored)).collect())
}

/// The updates of one contact, and what they make of it.
struct Group {
    key: Key,
    /// The version that was read.
    base: i64,
    settled: Vec<Settled>,
    /// Where among the settled the last state of the contact stands, when it changes.
    last_change: Option<usize>,
    registry: Option<i64>,
}

impl Group {
    fn of(key: Key, jobs: &[Job], read: Option<&Contact>) -> Self {
        let mut group = Self {
            key,
            base: read.map_or(0, |contact| contact.version),
            settled: vec![],
            last_change: None,
            registry: None,
        };
        for Job { update, .. } in jobs {
            let registry = update.draft.touches_custom_fields().then(|| update.registry.version());
            // One row is checked against one version of the registry.
            let fits = registry.is_none() || group.registry.is_none() || registry == group.registry;
            let current = group.current(read).filter(|_| fits);
            let version = current.map(|contact| contact.version);
            let settled = current.map_or(Settled::Alone, |contact| apply(update, contact));
            if let Settled::Answer(Ok(next)) = &settled
                && Some(next.version) != version
            {
                group.last_change = Some(group.settled.len());
                group.registry = registry.or(group.registry);
            }
            group.settled.push(settled);
        }
        group
    }

    /// The contact after the updates so far.
    fn current<'a>(&'a self, read: Option<&'a Contact>) -> Option<&'a Contact> {
        match self.last_change.map(|index| &self.settled[index]) {
            Some(Settled::Answer(Ok(contact))) => Some(contact),
            _ => read,
        }
    }

    fn change(&self) -> Option<Change<'_>> {
        let Settled::Answer(Ok(contact)) = &self.settled[self.last_change?] else { return None };
        Some(Change { account: self.key.0, contact, base: self.base, registry: self.registry })
    }

    /// What became of its updates, given which contacts were stored.
    fn settle(self, stored: &HashSet<Key>) -> Vec<Settled> {
        if self.last_change.is_none() || stored.contains(&self.key) {
            return self.settled;
        }
        self.settled.into_iter().map(|_| Settled::Alone).collect()
    }
}

/// What an update makes of a contact as it is. One that claims or releases unique keys may have to wait for them.
fn apply(update: &Update, contact: &Contact) -> Settled {
    match update.apply(contact) {
        Ok(Some(next)) if !contact.key_changes(&next, &update.registry).is_empty() => Settled::Alone,
        Ok(Some(next)) => Settled::Answer(Ok(next)),
        Ok(None) => Settled::Answer(Ok(contact.clone())),
        Err(error) => Settled::Answer(Err(error)),
    }
}

/// The contacts as they are now.
async fn read(
    connection: &mut PgConnection,
    by_contact: &BTreeMap<Key, Vec<Job>>,
) -> Result<HashMap<Key, Contact>, StorageError> {
    const READ: &str = concat!(
        "SELECT ",
        contact_columns!(),
        ", c.account_id FROM unnest($1::uuid[], $2::uuid[]) AS k (account_id, id) \
         JOIN contacts c ON c.account_id = k.account_id AND c.id = k.id"
    );
    let (accounts, ids): (Vec<_>, Vec<_>) = by_contact.keys().copied().unzip();
    let rows = sqlx::query(READ).bind(accounts).bind(ids).fetch_all(connection).await?;
    let keyed = |row: &PgRow| {
        let contact = rows::contact(row)?;
        Ok(((rows::account(row)?, contact.id), contact))
    };
    Ok(rows.iter().map(keyed).collect::<sqlx::Result<_>>()?)
}

/// Stores those contacts that are still as they were read, and whose account's registry is the one they depend on.
/// Returns which.
async fn store(connection: &mut PgConnection, changes: &[Change<'_>]) -> Result<HashSet<Key>, StorageError> {
    // A change to an account's fields holds the row that `guarded` shares until the commit. While one is under way
    // (or where there is none) the version counts as 0, on which nothing depends.
    const STORE: &str = "WITH guarded AS \
         (SELECT account_id, registry_version FROM accounts WHERE account_id = ANY ($17) ORDER BY account_id FOR SHARE SKIP LOCKED) \
         UPDATE contacts c SET version = n.version, updated_at = n.updated_at, custom = n.custom::jsonb, \
         first_name = n.first_name, last_name = n.last_name, email = n.email, contact_owner = n.contact_owner, \
         external_id = n.external_id, phone = n.phone, mobile_phone = n.mobile_phone, job_title = n.job_title, \
         company_name = n.company_name, website = n.website \
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], \
         $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $18::bigint[]) \
         AS n (account_id, id, base, version, updated_at, custom, first_name, last_name, email, contact_owner, external_id, \
         phone, mobile_phone, job_title, company_name, website, registry) LEFT JOIN guarded g ON g.account_id = n.account_id \
         WHERE c.account_id = n.account_id AND c.id = n.id AND c.version = n.base \
         AND (n.registry IS NULL OR n.registry = coalesce(g.registry_version, 0)) RETURNING c.account_id, c.id";
    let custom = |change: &Change<'_>| {
        serde_json::to_string(&change.contact.values.custom()).map_err(|error| sqlx::Error::Encode(error.into()))
    };
    let mut query = sqlx::query(STORE)
        .bind(changes.iter().map(|change| change.account).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.contact.id).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.base).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.contact.version).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.contact.updated_at).collect::<Vec<_>>())
        .bind(changes.iter().map(custom).collect::<Result<Vec<_>, _>>()?);
    for field in system::STORED {
        query = query.bind(changes.iter().map(|change| change.contact.values.text(field)).collect::<Vec<_>>());
    }
    let depends = changes.iter().filter(|change| change.registry.is_some());
    query = query
        .bind(depends.map(|change| change.account).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.registry).collect::<Vec<_>>());
    let stored = query.fetch_all(connection).await?;
    Ok(stored.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<sqlx::Result<_>>()?)
}
