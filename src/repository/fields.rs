//! Custom fields. Every change locks the account's row, so no write that depends on the registry commits meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::types::Json as Jsonb;
use uuid::Uuid;

use super::Repository;
use super::accounts::insert_account;
use super::error::{FieldError, StorageError};
use super::idempotency::{self, Idempotent, IdempotentRequest, NewStoredResponse};
use super::option_search::OptionSearch;
use super::pool::{DatabaseConnection, Transaction};
use super::registry_cache::load_registry;
use crate::contacts::now;
use crate::fields::{
    Field, FieldId, FieldPatch, MAX_CUSTOM_FIELDS, MAX_UNIQUE_FIELDS, NewField, Registry, RegistryVersion,
};

impl Repository {
    /// Returns the account's registry from the cache. The cached registry is at most 5 s older than the stored one.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the registry is not cached yet and the database fails or is overloaded.
    pub async fn registry(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        self.registry_cache.get(account).await
    }

    /// Returns the account's registry from the cache, or from the database when the cached one is older than `version`.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn registry_at_least(
        &self,
        account: Uuid,
        version: RegistryVersion,
    ) -> Result<Arc<Registry>, StorageError> {
        let cached = self.registry_cache.get(account).await?;
        if cached.version().includes(version) { Ok(cached) } else { self.registry_cache.reload(account).await }
    }

    /// Returns the account's registry from the database.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn reload_registry(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        self.registry_cache.reload(account).await
    }

    /// Creates a custom field. Returns the registry with the field.
    ///
    /// # Errors
    /// [`FieldError::KeyReused`], [`FieldError::Duplicate`], [`FieldError::TooMany`], or [`FieldError::Storage`].
    pub async fn create_field(
        &self,
        account: Uuid,
        new: &NewField,
        idempotent_request: Option<&IdempotentRequest<Registry>>,
    ) -> Result<Idempotent<Arc<Registry>>, FieldError> {
        // A field that was deleted keeps its id until its values are removed.
        const UNUSED_ID: &str = "SELECT n.id FROM unnest($2::integer[]) WITH ORDINALITY AS n (id, number) \
            WHERE NOT EXISTS (SELECT FROM fields f WHERE f.account_id = $1 AND f.id = n.id) ORDER BY n.number LIMIT 1";
        const INSERT: &str = "INSERT INTO fields \
            (account_id, id, internal_name, label, kind, is_unique, options, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
        let mut connection = self.pool.admit(account).await?;
        let mut transaction = connection.begin().await?;
        insert_account(&mut transaction, account).await?;
        let registry = lock_registry(&mut transaction, account).await?;
        if let Some(stored) = self.find_stored_response(&mut transaction, account, idempotent_request).await? {
            return Ok(Idempotent::Replayed(stored));
        }
        check_new_field(&registry, new)?;
        let candidates = std::array::from_fn::<_, 8, _>(|_| FieldId::random().0);
        let id: i32 = sqlx::query_scalar(UNUSED_ID).bind(account).bind(candidates).fetch_one(&mut *transaction).await?;
        let insert = sqlx::query(INSERT).bind(account).bind(id).bind(&new.internal_name).bind(&new.label);
        let insert = insert.bind(new.kind.as_str()).bind(new.unique).bind(Jsonb(&new.options)).bind(now());
        insert.execute(&mut *transaction).await?;
        self.commit_registry_change(transaction, account, registry.version(), idempotent_request)
            .await
            .map(Idempotent::Fresh)
    }

    /// Updates a custom field. Returns the registry with the updated field.
    ///
    /// # Errors
    /// [`FieldError::KeyReused`], [`FieldError::NotFound`], [`FieldError::OptionsInUse`], or [`FieldError::Storage`].
    pub async fn update_field(
        &self,
        account: Uuid,
        internal_name: &str,
        patch: &FieldPatch,
        idempotent_request: Option<&IdempotentRequest<Registry>>,
    ) -> Result<Idempotent<Arc<Registry>>, FieldError> {
        const UPDATE: &str =
            "UPDATE fields SET label = $3, options = $4, updated_at = $5 WHERE account_id = $1 AND id = $2";
        let mut connection = self.pool.admit(account).await?;
        // All contacts are read without the lock, for which every write of the account would wait.
        let search = self.search_removed_options(&mut connection, account, internal_name, patch).await?;
        let mut transaction = connection.begin().await?;
        let registry = lock_registry(&mut transaction, account).await?;
        if let Some(stored) = self.find_stored_response(&mut transaction, account, idempotent_request).await? {
            return Ok(Idempotent::Replayed(stored));
        }
        let field = registry.get(internal_name).filter(|field| !field.system).ok_or(FieldError::NotFound)?;
        let label = patch.label.as_ref().unwrap_or(&field.label);
        let options = patch.options.as_ref().unwrap_or(&field.options);
        if (label, options) == (&field.label, &field.options) {
            self.store_response(&mut transaction, account, idempotent_request, &registry).await?;
            transaction.commit().await?;
            return Ok(Idempotent::Fresh(Arc::new(registry)));
        }
        let removed = removed_options(field, patch);
        let used = search.complete(&mut transaction, account, field, &removed).await?;
        if !used.is_empty() {
            return Err(FieldError::OptionsInUse(used));
        }
        let update = sqlx::query(UPDATE).bind(account).bind(field.id.0).bind(label).bind(Jsonb(options)).bind(now());
        update.execute(&mut *transaction).await?;
        self.commit_registry_change(transaction, account, registry.version(), idempotent_request)
            .await
            .map(Idempotent::Fresh)
    }

    /// Reads all contacts for options that a change of a field would remove.
    async fn search_removed_options(
        &self,
        connection: &mut DatabaseConnection,
        account: Uuid,
        internal_name: &str,
        patch: &FieldPatch,
    ) -> Result<OptionSearch, StorageError> {
        let registry = load_registry(&mut *connection, account).await?;
        match registry.get(internal_name).map(|field| (field, removed_options(field, patch))) {
            Some((field, removed)) if !removed.is_empty() => {
                Ok(OptionSearch::run(connection, account, field, &removed).await?)
            }
            _ => Ok(OptionSearch::default()),
        }
    }

    /// Deletes a custom field. Its values and keys become invisible at once; the cleanup deletes them later.
    ///
    /// # Errors
    /// [`FieldError::KeyReused`], [`FieldError::NotFound`], or [`FieldError::Storage`].
    pub async fn delete_field(
        &self,
        account: Uuid,
        internal_name: &str,
        idempotent_request: Option<&IdempotentRequest<Registry>>,
    ) -> Result<Idempotent<Arc<Registry>>, FieldError> {
        const DELETE: &str = "UPDATE fields SET deleted_at = now() WHERE account_id = $1 AND id = $2";
        let mut connection = self.pool.admit(account).await?;
        let mut transaction = connection.begin().await?;
        let registry = lock_registry(&mut transaction, account).await?;
        if let Some(stored) = self.find_stored_response(&mut transaction, account, idempotent_request).await? {
            return Ok(Idempotent::Replayed(stored));
        }
        let field = registry.get(internal_name).filter(|field| !field.system).ok_or(FieldError::NotFound)?;
        sqlx::query(DELETE).bind(account).bind(field.id.0).execute(&mut *transaction).await?;
        self.commit_registry_change(transaction, account, registry.version(), idempotent_request)
            .await
            .map(Idempotent::Fresh)
    }

    /// Commits a change to an account's fields as the version of its registry after this one, and adds it to the cache.
    async fn commit_registry_change(
        &self,
        mut transaction: Transaction<'_>,
        account: Uuid,
        version: RegistryVersion,
        idempotent_request: Option<&IdempotentRequest<Registry>>,
    ) -> Result<Arc<Registry>, FieldError> {
        const SET_VERSION: &str = "UPDATE accounts SET registry_version = $2 WHERE account_id = $1";
        sqlx::query(SET_VERSION).bind(account).bind(version.next().stored()).execute(&mut *transaction).await?;
        let registry = Arc::new(load_registry(&mut *transaction, account).await?);
        self.store_response(&mut transaction, account, idempotent_request, &registry).await?;
        transaction.commit().await?;
        self.registry_cache.insert_changed(account, &registry).await;
        Ok(registry)
    }

    /// Returns the response that is stored under the request's idempotency key. Call this after the account's row is locked:
    /// a duplicate of the request that is in flight has then stored its response.
    ///
    /// # Errors
    /// [`FieldError::KeyReused`] when another request has used the key.
    async fn find_stored_response(
        &self,
        connection: &mut DatabaseConnection,
        account: Uuid,
        request: Option<&IdempotentRequest<Registry>>,
    ) -> Result<Option<Bytes>, FieldError> {
        let Some(request) = request else { return Ok(None) };
        let Some(stored) =
            idempotency::find_response(connection, account, request, &self.pool.shard_accounts([account])).await?
        else {
            return Ok(None);
        };
        stored.replay(&request.fingerprint).map(Some).map_err(|_| FieldError::KeyReused)
    }

    /// Stores the response to a request under its idempotency key, if it has one.
    async fn store_response(
        &self,
        connection: &mut DatabaseConnection,
        account: Uuid,
        request: Option<&IdempotentRequest<Registry>>,
        registry: &Registry,
    ) -> Result<(), StorageError> {
        let response = request.and_then(|request| NewStoredResponse::new(request, registry, vec![]));
        let responses: Vec<_> = response.iter().map(|new| (account, new)).collect();
        idempotency::store_responses(connection, &responses, &self.pool.shard_accounts([account])).await
    }
}

/// Checks that no field has the new field's name or a similar name, and that the account has not reached a limit.
fn check_new_field(registry: &Registry, new: &NewField) -> Result<(), FieldError> {
    let name = &new.internal_name;
    if registry.get_similar(name).is_some() || registry.unsupported_message(name).is_some() {
        return Err(FieldError::Duplicate);
    }
    let custom = || registry.fields().iter().filter(|field| !field.system);
    let unsupported = registry.unsupported();
    if custom().count() + unsupported.len() >= MAX_CUSTOM_FIELDS {
        return Err(FieldError::TooMany { limit: MAX_CUSTOM_FIELDS, unique: false });
    }
    let unsupported_unique = unsupported.iter().filter(|field| field.unique).count();
    if new.unique && custom().filter(|field| field.unique).count() + unsupported_unique >= MAX_UNIQUE_FIELDS {
        return Err(FieldError::TooMany { limit: MAX_UNIQUE_FIELDS, unique: true });
    }
    Ok(())
}

/// Locks the account's row and returns its registry, which no other transaction can change until this one ends.
async fn lock_registry(connection: &mut DatabaseConnection, account: Uuid) -> Result<Registry, StorageError> {
    const LOCK: &str = "SELECT 1 FROM accounts WHERE account_id = $1 FOR UPDATE";
    sqlx::query(LOCK).bind(account).execute(&mut *connection).await?;
    load_registry(connection, account).await
}

/// Returns the options of a field that a change would remove.
fn removed_options<'f>(field: &'f Field, patch: &FieldPatch) -> Vec<&'f str> {
    let Some(options) = &patch.options else { return vec![] };
    let is_remaining = |name: &str| options.iter().any(|option| option.internal_name == name);
    let names = field.options.iter().map(|option| option.internal_name.as_str());
    names.filter(|name| !is_remaining(name)).collect()
}
