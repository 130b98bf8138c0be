//! Writes of contacts: each one transaction, committed before it is answered.
//!
//! Locks are taken in one order everywhere: the account's registry (shared, and only by writes that depend on
//! it), the contact's row, unique keys in their order.

use sqlx::postgres::{PgArguments, PgConnection, PgPool};
use sqlx::query::Query;
use sqlx::types::Json as Jsonb;
use sqlx::{Connection, Postgres};
use uuid::Uuid;

use super::rows::{self, contact_columns};
use super::{Repository, StorageError, Update, WriteError, keys, registries};
use crate::contacts::{Contact, Draft, KeyChanges, Precondition};
use crate::fields::{Registry, system};

/// How often a write is tried when it meets others in its way.
const ATTEMPTS: usize = 5;

impl Repository {
    /// Creates a contact.
    ///
    /// # Errors
    /// [`WriteError::Duplicate`], [`WriteError::RegistryChanged`], or the database.
    pub async fn create_contact(
        &self,
        account: Uuid,
        registry: &Registry,
        draft: &Draft,
    ) -> Result<Contact, WriteError> {
        retried(|| self.try_create(account, registry, draft)).await
    }

    /// Changes the fields that the draft sends, and no other. A change to equal values changes nothing.
    ///
    /// # Errors
    /// Every [`WriteError`].
    pub async fn update_contact(&self, update: Update) -> Result<Contact, WriteError> {
        match &self.writer {
            Some(writer) => writer.write(update).await,
            None => self::update(&self.pool, &update).await,
        }
    }

    /// Archives an active contact; its unique keys are free from then on.
    ///
    /// # Errors
    /// [`WriteError::NotFound`] (also when it is archived already), [`WriteError::PreconditionFailed`], or the database.
    pub async fn archive_contact(
        &self,
        account: Uuid,
        id: Uuid,
        actor: Option<&str>,
        precondition: &Precondition,
    ) -> Result<Contact, WriteError> {
        retried(|| self.try_archive(account, id, actor, precondition)).await
    }

    /// Makes a contact active again; one that is active stays as it is.
    ///
    /// # Errors
    /// [`WriteError::NotFound`], [`WriteError::PreconditionFailed`], [`WriteError::Duplicate`] when a key was taken
    /// meanwhile, [`WriteError::RegistryChanged`], or the database.
    pub async fn restore_contact(
        &self,
        account: Uuid,
        id: Uuid,
        registry: &Registry,
        precondition: &Precondition,
    ) -> Result<Contact, WriteError> {
        retried(|| self.try_restore(account, id, registry, precondition)).await
    }

    async fn try_create(&self, account: Uuid, registry: &Registry, draft: &Draft) -> Result<Contact, WriteError> {
        let contact = Contact::new(draft);
        let changes = KeyChanges::of_new(&contact.values, registry);
        let mut connection = self.pool.acquire().await?;
        if changes.claimed.is_empty() && !draft.touches_custom_fields() {
            store(INSERT, account, &contact).execute(&mut *connection).await?;
            return Ok(contact);
        }
        let mut transaction = connection.begin().await?;
        if draft.touches_custom_fields() {
            registries::guard(&mut transaction, account, registry).await?;
        }
        keys::claim(&mut transaction, account, contact.id, &changes.claimed).await?;
        store(INSERT, account, &contact).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(contact)
    }

    async fn try_archive(
        &self,
        account: Uuid,
        id: Uuid,
        actor: Option<&str>,
        precondition: &Precondition,
    ) -> Result<Contact, WriteError> {
        let mut transaction = self.pool.begin().await?;
        let contact = lock(&mut transaction, account, id, Patience::Waits).await?;
        let contact = contact.filter(|contact| contact.archival.is_none()).ok_or(WriteError::NotFound)?;
        demand(precondition, &contact)?;
        let archived = contact.archived(actor);
        store(UPDATE, account, &archived).execute(&mut *transaction).await?;
        keys::suspend(&mut transaction, account, id).await?;
        transaction.commit().await?;
        Ok(archived)
    }

    async fn try_restore(
        &self,
        account: Uuid,
        id: Uuid,
        registry: &Registry,
        precondition: &Precondition,
    ) -> Result<Contact, WriteError> {
        let mut transaction = self.pool.begin().await?;
        registries::guard(&mut transaction, account, registry).await?;
        let contact = lock(&mut transaction, account, id, Patience::Waits).await?.ok_or(WriteError::NotFound)?;
        demand(precondition, &contact)?;
        if contact.archival.is_none() {
            return Ok(contact);
        }
        let restored = contact.restored();
        keys::resume(&mut transaction, account, id, registry).await?;
        store(UPDATE, account, &restored).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(restored)
    }
}

impl Update {
    /// The contact after this update; `None` when it changes nothing.
    ///
    /// # Errors
    /// [`WriteError::Archived`] or [`WriteError::PreconditionFailed`].
    pub(super) fn apply(&self, contact: &Contact) -> Result<Option<Contact>, WriteError> {
        if contact.archival.is_some() {
            return Err(WriteError::Archived);
        }
        demand(&self.precondition, contact)?;
        Ok(contact.patched(&self.draft, &self.registry))
    }
}

/// Refuses a write whose precondition does not hold for the contact as it is.
fn demand(precondition: &Precondition, contact: &Contact) -> Result<(), WriteError> {
    if precondition.holds(contact) { Ok(()) } else { Err(WriteError::PreconditionFailed) }
}

/// Whether a write waits for what others hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    GivesUp,
}

/// Writes one update in a transaction of its own.
pub(super) async fn update(pool: &PgPool, update: &Update) -> Result<Contact, WriteError> {
    // What waits always comes to an end: none is not found.
    retried(|| async { try_update(pool, update, Patience::Waits).await?.ok_or(WriteError::NotFound) }).await
}

/// The same where it has to wait for nobody; `None` when it would have to, or the contact is not there.
pub(super) async fn update_at_once(pool: &PgPool, update: &Update) -> Result<Option<Contact>, WriteError> {
    try_update(pool, update, Patience::GivesUp).await
}

async fn try_update(pool: &PgPool, update: &Update, patience: Patience) -> Result<Option<Contact>, WriteError> {
    let Update { account, id, registry, draft, .. } = update;
    let mut transaction = pool.begin().await?;
    if draft.touches_custom_fields() {
        registries::guard(&mut transaction, *account, registry).await?;
    }
    let Some(contact) = lock(&mut transaction, *account, *id, patience).await? else { return Ok(None) };
    let Some(next) = update.apply(&contact)? else { return Ok(Some(contact)) };
    let changes = contact.key_changes(&next, registry);
    if patience == Patience::GivesUp && !changes.is_empty() {
        return Ok(None);
    }
    keys::claim(&mut transaction, *account, *id, &changes.claimed).await?;
    store(UPDATE, *account, &next).execute(&mut *transaction).await?;
    keys::release(&mut transaction, *account, *id, &changes.released).await?;
    transaction.commit().await?;
    Ok(Some(next))
}

/// A contact as it is now, locked until the end of the transaction.
async fn lock(
    connection: &mut PgConnection,
    account: Uuid,
    id: Uuid,
    patience: Patience,
) -> sqlx::Result<Option<Contact>> {
    const LOCK: &str = concat!(
        "SELECT ",
        contact_columns!(),
        " FROM contacts c WHERE c.account_id = $1 AND c.id = $2 FOR NO KEY UPDATE"
    );
    const LOCK_IF_FREE: &str = concat!(
        "SELECT ",
        contact_columns!(),
        " FROM contacts c WHERE c.account_id = $1 AND c.id = $2 FOR NO KEY UPDATE SKIP LOCKED"
    );
    let statement = if patience == Patience::Waits { LOCK } else { LOCK_IF_FREE };
    let row = sqlx::query(statement).bind(account).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(rows::contact).transpose()
}

const INSERT: &str = "INSERT INTO contacts (account_id, id, version, first_name, last_name, email, contact_owner, external_id, \
                      phone, mobile_phone, job_title, company_name, website, custom, archived_at, archived_by, updated_at, created_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

// Takes the parameters of INSERT in the same places.
const UPDATE: &str = "UPDATE contacts SET version = $3, first_name = $4, last_name = $5, email = $6, contact_owner = $7, \
                      external_id = $8, phone = $9, mobile_phone = $10, job_title = $11, company_name = $12, website = $13, \
                      custom = $14, archived_at = $15, archived_by = $16, updated_at = $17, created_at = $18 \
                      WHERE account_id = $1 AND id = $2";

/// The statement that stores a whole contact, ready to execute.
fn store<'a>(statement: &'static str, account: Uuid, contact: &'a Contact) -> Query<'a, Postgres, PgArguments> {
    let archival = contact.archival.as_ref();
    let mut query = sqlx::query(statement).bind(account).bind(contact.id).bind(contact.version);
    for field in system::STORED {
        query = query.bind(contact.values.text(field));
    }
    query
        .bind(Jsonb(contact.values.custom()))
        .bind(archival.map(|archival| archival.at))
        .bind(archival.and_then(|archival| archival.by.as_deref()))
        .bind(contact.updated_at)
        .bind(contact.created_at)
}

/// Tries a transaction again that stood in another's way, or whose rival for a key let go of it meanwhile.
async fn retried<T, F>(attempt: impl Fn() -> F) -> Result<T, WriteError>
where
    F: Future<Output = Result<T, WriteError>>,
{
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match attempt().await {
            Err(WriteError::Storage(StorageError::Conflict(_))) if left > 0 => {}
            Err(WriteError::Duplicate(collisions)) if collisions.is_empty() => {
                if left == 0 {
                    return Err(StorageError::Overloaded.into());
                }
            }
            answer => return answer,
        }
    }
}
