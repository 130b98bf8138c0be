//! Jobs of many accounts, written together: what they are about is read, they are applied to it in memory, and what
//! they did is stored if nothing else has happened to their accounts meanwhile.

use std::collections::{BTreeMap, HashSet};

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgTransaction};
use uuid::Uuid;

use super::group::Group;
use super::store::ContactKey;
use super::work::Job;
use super::{load, store};
use crate::repository::pool::{Holder, Pool};
use crate::repository::{StorageError, registries};

/// Jobs by their account.
fn by_account(jobs: Vec<Job>) -> BTreeMap<Uuid, Group> {
    let mut accounts: BTreeMap<Uuid, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        accounts.entry(job.work.account).or_default().push(job);
    }
    accounts.into_iter().map(|(account, jobs)| (account, Group::of(account, jobs))).collect()
}

/// Why jobs were not written, and they themselves, unanswered.
pub(super) struct Failed {
    pub(super) error: StorageError,
    pub(super) jobs: Vec<Job>,
    /// The contacts that they were about to change.
    pub(super) contacts: Vec<Uuid>,
}

impl Failed {
    fn of(error: StorageError, groups: BTreeMap<Uuid, Group>) -> Self {
        let changed = |group: &Group| {
            let updated = group.effects.updated.iter().map(|(_, contact)| contact.id);
            updated.chain(group.effects.purged.iter().map(|(id, _)| *id)).collect::<Vec<_>>()
        };
        let contacts = groups.values().flat_map(changed).collect();
        Self { error, jobs: groups.into_values().flat_map(|group| group.jobs).collect(), contacts }
    }
}

/// Writes the jobs without waiting for anyone, and answers those that could be. Returns the others: their accounts
/// were in use.
///
/// # Errors
/// The database. Unless it is unavailable, nothing was written.
pub(super) async fn write(holder: &Holder, jobs: Vec<Job>) -> Result<Vec<Job>, Failed> {
    let mut groups = by_account(jobs);
    match try_write(holder, &mut groups).await {
        Ok(stored) => Ok(groups.into_values().flat_map(|group| stored.answer(group)).collect()),
        Err(error) => Err(Failed::of(error, groups)),
    }
}

/// What of a batch was stored.
#[derive(Default)]
struct Stored {
    contacts: HashSet<ContactKey>,
    accounts: HashSet<Uuid>,
}

impl Stored {
    /// Answers the jobs of a group that were stored, or had nothing to store. Returns the others.
    fn answer(&self, group: Group) -> Vec<Job> {
        let account = group.account;
        if group.is_torn() {
            return group.jobs;
        }
        if !group.has_effects() || self.accounts.contains(&account) {
            return group.answer(|_| true);
        }
        let is_stored = |contact: Uuid| self.contacts.contains(&(account, contact));
        // Of the others not even a refusal is sure: what it was for may not have been stored.
        if group.is_plain() && group.workspace.changes().iter().any(|change| is_stored(change.contact_id)) {
            return group.answer(is_stored);
        }
        group.jobs
    }
}

async fn try_write(holder: &Holder, groups: &mut BTreeMap<Uuid, Group>) -> Result<Stored, StorageError> {
    let mut connection = holder.acquire().await?;
    load::load(&mut connection, groups).await?;
    groups.values_mut().for_each(Group::apply);
    let changed: Vec<_> = groups.values().filter(|group| group.has_effects()).collect();
    found_accounts(&mut connection, &changed).await?;
    let (plain, other): (Vec<_>, Vec<_>) = changed.into_iter().partition(|group| group.is_plain());
    let mut stored = Stored::default();
    if !other.is_empty() {
        let mut transaction = connection.begin().await?;
        stored.accounts = store::everything(&mut transaction, &other).await?;
        transaction.commit().await?;
    }
    if !plain.is_empty() {
        stored.contacts = match store::values(&mut connection, &plain).await {
            // The other part has been committed: these go their own way.
            Err(error) if !other.is_empty() && !error.leaves_unknown() => HashSet::new(),
            contacts => contacts?,
        };
    }
    holder.hold(connection);
    Ok(stored)
}

/// Makes a row for each account that is about to have its first contact.
async fn found_accounts(connection: &mut PgConnection, groups: &[&Group]) -> Result<(), StorageError> {
    let new: Vec<_> = groups.iter().filter(|group| group.state.is_none()).map(|group| group.account).collect();
    if !new.is_empty() {
        registries::found(connection, &new).await?;
    }
    Ok(())
}

/// Writes jobs of one account under its lock, for which it waits, and answers them. No one can be in the way then but
/// those who lock a contact's row without it.
///
/// # Errors
/// The database. Unless it is unavailable, nothing was written.
pub(super) async fn write_locked(pool: &Pool, account: Uuid, jobs: Vec<Job>) -> Result<(), Failed> {
    let mut groups = BTreeMap::from([(account, Group::of(account, jobs))]);
    if let Err(error) = try_write_locked(pool, account, &mut groups).await {
        return Err(Failed::of(error, groups));
    }
    groups.into_values().for_each(|group| drop(group.answer(|_| true)));
    Ok(())
}

async fn try_write_locked(pool: &Pool, account: Uuid, groups: &mut BTreeMap<Uuid, Group>) -> Result<(), StorageError> {
    const LOCK: &str = "SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE";
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK).bind(account).execute(&mut *transaction).await?;
    hurry(&mut transaction).await?;
    load::load(&mut transaction, groups).await?;
    groups.values_mut().for_each(Group::apply);
    // An account without a row has no lock either: it may be found torn.
    let Some(group) = groups.get(&account) else { return Ok(()) };
    commit_whole(transaction, group).await
}

/// Stores a group that has been applied, without waiting for anyone, and answers its jobs.
///
/// # Errors
/// The database; [`StorageError::Stale`] when the account is not as the jobs took it to be. Unless it is unavailable,
/// nothing was written.
pub(super) async fn store(pool: &Pool, group: Group) -> Result<(), Failed> {
    if let Err(error) = try_store(pool, &group).await {
        return Err(Failed::of(error, BTreeMap::from([(group.account, group)])));
    }
    drop(group.answer(|_| true));
    Ok(())
}

async fn try_store(pool: &Pool, group: &Group) -> Result<(), StorageError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    hurry(&mut transaction).await?;
    commit_whole(transaction, group).await
}

/// Stores all of a group, if its account is as it was read, and commits.
async fn commit_whole(mut transaction: PgTransaction<'_>, group: &Group) -> Result<(), StorageError> {
    if group.is_torn() {
        return Err(StorageError::Stale);
    }
    if !group.has_effects() {
        return Ok(());
    }
    found_accounts(&mut transaction, &[group]).await?;
    if !store::everything(&mut transaction, &[group]).await?.contains(&group.account) {
        return Err(StorageError::Stale);
    }
    transaction.commit().await?;
    Ok(())
}

/// Lets what follows fail rather than wait: whoever holds a row of a contact must not hold up all writers of the account.
async fn hurry(transaction: &mut PgConnection) -> Result<(), StorageError> {
    const HURRY: &str = "SELECT set_config('lock_timeout', '100ms', true)";
    sqlx::query(HURRY).execute(transaction).await?;
    Ok(())
}

/// Waits until no one holds the rows of these contacts.
pub(super) async fn wait_for_rows(pool: &Pool, account: Uuid, contacts: &[Uuid]) -> Result<(), StorageError> {
    const WAIT: &str = "SELECT 1 FROM contacts WHERE account_id = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE";
    sqlx::query(WAIT).bind(account).bind(contacts).execute(&mut *pool.acquire().await?).await?;
    Ok(())
}
