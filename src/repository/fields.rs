//! Custom fields. Every change holds the account's row, and so excludes writes that depend on the registry.

use std::sync::Arc;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use sqlx::types::Json as Jsonb;
use uuid::Uuid;

use super::kept::{self, NewKept};
use super::registries;
use super::{Done, FieldError, Keep, Repository, StorageError};
use crate::contacts::now;
use crate::fields::{Field, FieldPatch, Kind, MAX_CUSTOM_FIELDS, MAX_UNIQUE_FIELDS, NewField, Registry};

impl Repository {
    /// The account's fields, from memory. At most 5 s older than the database's.
    ///
    /// # Errors
    /// The database, when they are not in memory yet.
    pub async fn registry(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        self.registries.get(account).await
    }

    /// The account's fields, from memory unless those are older than this version.
    ///
    /// # Errors
    /// The database.
    pub async fn registry_since(&self, account: Uuid, version: i64) -> Result<Arc<Registry>, StorageError> {
        let known = self.registries.get(account).await?;
        if known.version() >= version { Ok(known) } else { self.registries.reload(account).await }
    }

    /// The account's fields as the database has them now.
    ///
    /// # Errors
    /// The database.
    pub async fn reload_registry(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        self.registries.reload(account).await
    }

    /// Adds a custom field. Returns the registry that has it.
    ///
    /// # Errors
    /// [`FieldError::KeyReused`], [`FieldError::Duplicate`], [`FieldError::TooMany`], or the database.
    pub async fn create_field(
        &self,
        account: Uuid,
        new: &NewField,
        keep: Option<&Keep<Registry>>,
    ) -> Result<Done<Arc<Registry>>, FieldError> {
        const INSERT: &str = "INSERT INTO fields (account_id, id, internal_name, label, kind, is_unique, options, created_at, updated_at) \
                              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
        let mut connection = self.pool.admit().await?;
        let mut transaction = connection.begin().await?;
        registries::found(&mut transaction, &[account]).await?;
        let registry = lock(&mut transaction, account).await?;
        if let Some(keep) = keep
            && let Some(kept) = kept::look_up(&mut transaction, account, &keep.key).await?
        {
            return kept.replay(&keep.fingerprint).map(Done::Replayed).map_err(|_| FieldError::KeyReused);
        }
        if registry.get(&new.internal_name).is_some() {
            return Err(FieldError::Duplicate);
        }
        let custom = || registry.fields().iter().filter(|field| !field.system);
        if custom().count() >= MAX_CUSTOM_FIELDS {
            return Err(FieldError::TooMany { limit: MAX_CUSTOM_FIELDS, unique: false });
        }
        if new.unique && custom().filter(|field| field.unique).count() >= MAX_UNIQUE_FIELDS {
            return Err(FieldError::TooMany { limit: MAX_UNIQUE_FIELDS, unique: true });
        }
        let take_id =
            "UPDATE accounts SET last_field_id = last_field_id + 1 WHERE account_id = $1 RETURNING last_field_id";
        let id: i32 = sqlx::query_scalar(take_id).bind(account).fetch_one(&mut *transaction).await?;
        let insert = sqlx::query(INSERT).bind(account).bind(id).bind(&new.internal_name).bind(&new.label);
        let insert = insert.bind(new.kind.as_str()).bind(new.unique).bind(Jsonb(&new.options)).bind(now());
        insert.execute(&mut *transaction).await?;
        self.publish(transaction, account, keep).await.map(Done::Fresh)
    }

    /// Changes a custom field. Returns the registry that has it so.
    ///
    /// # Errors
    /// [`FieldError::NotFound`], [`FieldError::OptionsInUse`], or the database.
    pub async fn update_field(
        &self,
        account: Uuid,
        internal_name: &str,
        patch: &FieldPatch,
    ) -> Result<Arc<Registry>, FieldError> {
        const UPDATE: &str =
            "UPDATE fields SET label = $3, options = $4, updated_at = $5 WHERE account_id = $1 AND id = $2";
        let mut connection = self.pool.admit().await?;
        let mut transaction = connection.begin().await?;
        let registry = lock(&mut transaction, account).await?;
        let field = registry.get(internal_name).filter(|field| !field.system).ok_or(FieldError::NotFound)?;
        let label = patch.label.as_ref().unwrap_or(&field.label);
        let options = patch.options.as_ref().unwrap_or(&field.options);
        if (label, options) == (&field.label, &field.options) {
            return Ok(Arc::new(registry));
        }
        let is_kept = |name: &str| options.iter().any(|option| option.internal_name == name);
        let names = field.options.iter().map(|option| option.internal_name.as_str());
        let removed: Vec<_> = names.filter(|name| !is_kept(name)).collect();
        let used = used_options(&mut transaction, account, field, &removed).await?;
        if !used.is_empty() {
            return Err(FieldError::OptionsInUse(used));
        }
        let update = sqlx::query(UPDATE).bind(account).bind(field.id.0).bind(label).bind(Jsonb(options)).bind(now());
        update.execute(&mut *transaction).await?;
        self.publish(transaction, account, None).await
    }

    /// Deletes a custom field. Its values and keys are out of sight at once, and swept away afterwards.
    ///
    /// # Errors
    /// [`FieldError::NotFound`], or the database.
    pub async fn delete_field(&self, account: Uuid, internal_name: &str) -> Result<(), FieldError> {
        const DELETE: &str = "UPDATE fields SET deleted_at = $3 WHERE account_id = $1 AND id = $2";
        let mut connection = self.pool.admit().await?;
        let mut transaction = connection.begin().await?;
        let registry = lock(&mut transaction, account).await?;
        let field = registry.get(internal_name).filter(|field| !field.system).ok_or(FieldError::NotFound)?;
        sqlx::query(DELETE).bind(account).bind(field.id.0).bind(now()).execute(&mut *transaction).await?;
        self.publish(transaction, account, None).await?;
        Ok(())
    }

    /// Commits a change to an account's fields, and shows it to this instance at once.
    async fn publish(
        &self,
        mut transaction: sqlx::Transaction<'_, sqlx::Postgres>,
        account: Uuid,
        keep: Option<&Keep<Registry>>,
    ) -> Result<Arc<Registry>, FieldError> {
        let bump = "UPDATE accounts SET registry_version = registry_version + 1 WHERE account_id = $1";
        sqlx::query(bump).bind(account).execute(&mut *transaction).await?;
        let registry = Arc::new(registries::load(&mut *transaction, account).await?);
        let new_kept = keep.and_then(|keep| NewKept::of(keep, &registry, vec![]));
        kept::store(&mut transaction, account, new_kept.as_slice()).await?;
        transaction.commit().await?;
        self.registries.put(account, &registry).await;
        Ok(registry)
    }
}

/// The account's fields, locked until the end of the transaction.
async fn lock(connection: &mut PgConnection, account: Uuid) -> Result<Registry, StorageError> {
    let lock = "SELECT 1 FROM accounts WHERE account_id = $1 FOR UPDATE";
    sqlx::query(lock).bind(account).execute(&mut *connection).await?;
    registries::load(connection, account).await
}

/// Which of these options of a field any contact of the account has, archived ones included. Reads every contact
/// of the account.
async fn used_options(
    connection: &mut PgConnection,
    account: Uuid,
    field: &Field,
    names: &[&str],
) -> sqlx::Result<Vec<String>> {
    const OF_DROPDOWN: &str =
        "SELECT DISTINCT custom ->> $2 FROM contacts WHERE account_id = $1 AND custom ->> $2 = ANY ($3) ORDER BY 1";
    const OF_MULTI_SELECT: &str = "SELECT DISTINCT chosen FROM contacts, jsonb_array_elements_text(custom -> $2) AS chosen \
                                   WHERE account_id = $1 AND custom -> $2 ?| $3 AND chosen = ANY ($3) ORDER BY 1";
    if names.is_empty() {
        return Ok(vec![]);
    }
    let used = if field.kind == Kind::MultiSelect { OF_MULTI_SELECT } else { OF_DROPDOWN };
    sqlx::query_scalar(used).bind(account).bind(field.id.0.to_string()).bind(names).fetch_all(connection).await
}
