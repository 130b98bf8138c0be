//! API clients. Their rows are never deleted, because the changes that a client made are recorded under its id.

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Repository;
use super::error::StorageError;
use super::row_mapping;
use crate::clients::{Client, ClientId, ClientName, Scopes, SecretHash};
use crate::contacts::now;

/// The stored data that a client's token request is checked against.
#[derive(Debug, Clone)]
pub struct StoredCredentials {
    /// The hash of the client's secret.
    pub secret_hash: SecretHash,
    /// The scopes that the client's tokens may have; `None` when they may do everything.
    pub scopes: Option<Scopes>,
}

impl Repository {
    /// Creates a client of an account. Its tokens may have the given scopes, or do everything if there are none.
    /// Returns its id.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn create_client(
        &self,
        account: Uuid,
        name: &ClientName,
        scopes: Option<Scopes>,
        secret_hash: &SecretHash,
    ) -> Result<ClientId, StorageError> {
        const INSERT: &str = "INSERT INTO clients (account_id, id, name, scope, secret_hash, created_at) \
                              VALUES ($1, $2, $3, $4, $5, $6)";
        let id = ClientId::new(account);
        let insert = sqlx::query(INSERT).bind(account).bind(id.client).bind(name.as_str());
        let insert = insert.bind(scopes.map(|scopes| scopes.to_string())).bind(secret_hash.as_bytes()).bind(now());
        insert.execute(&mut self.pool.acquire().await?).await?;
        Ok(id)
    }

    /// Returns the clients of an account, or of all accounts, including revoked ones. The clients of an account are in
    /// order of creation.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn list_clients(&self, account: Option<Uuid>) -> Result<Vec<Client>, StorageError> {
        const ALL: &str =
            "SELECT account_id, id, name, scope, created_at, revoked_at FROM clients ORDER BY account_id, id";
        const BY_ACCOUNT: &str = "SELECT account_id, id, name, scope, created_at, revoked_at FROM clients \
                                  WHERE account_id = $1 ORDER BY id";
        let mut connection = self.pool.acquire().await?;
        let rows = match account {
            None => sqlx::query(ALL).fetch_all(&mut connection).await?,
            Some(account) => sqlx::query(BY_ACCOUNT).bind(account).fetch_all(&mut connection).await?,
        };
        Ok(rows.iter().map(client_from_row).collect::<sqlx::Result<_>>()?)
    }

    /// Revokes a client: it gets no more tokens, and every instance rejects its existing tokens within 5 s. The time of
    /// an earlier revocation stays. Returns false when there is no such client.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn revoke_client(&self, id: ClientId) -> Result<bool, StorageError> {
        const REVOKE: &str = "UPDATE clients SET revoked_at = date_trunc('milliseconds', now()) \
             WHERE account_id = $1 AND id = $2 AND revoked_at IS NULL";
        const EXISTS: &str = "SELECT EXISTS (SELECT FROM clients WHERE account_id = $1 AND id = $2)";
        let mut connection = self.pool.acquire().await?;
        let revoke = sqlx::query(REVOKE).bind(id.account).bind(id.client);
        if revoke.execute(&mut connection).await?.rows_affected() > 0 {
            return Ok(true);
        }
        let exists = sqlx::query_scalar(EXISTS).bind(id.account).bind(id.client);
        Ok(exists.fetch_one(&mut connection).await?)
    }

    /// Returns the credentials of a client; `None` when it does not exist or is revoked.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn client_credentials(&self, id: ClientId) -> Result<Option<StoredCredentials>, StorageError> {
        const FIND: &str =
            "SELECT secret_hash, scope FROM clients WHERE account_id = $1 AND id = $2 AND revoked_at IS NULL";
        let find = sqlx::query(FIND).bind(id.account).bind(id.client);
        let row = find.fetch_optional(&mut self.pool.admit(id.account).await?).await?;
        Ok(row.as_ref().map(credentials_from_row).transpose()?)
    }

    /// Returns whether a client is revoked, so that its tokens are invalid. The result comes from memory and is at most
    /// a few seconds old.
    ///
    /// # Errors
    /// Returns a [`StorageError`] when the database fails before the revoked clients were loaded for the first time.
    pub async fn is_client_revoked(&self, id: ClientId) -> Result<bool, StorageError> {
        self.revoked_clients.contains(id).await
    }
}

fn client_from_row(row: &PgRow) -> sqlx::Result<Client> {
    Ok(Client {
        id: row_mapping::client_id_from_row(row)?,
        name: row.try_get("name")?,
        scopes: scopes_from_row(row)?,
        created_at: row.try_get("created_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

fn credentials_from_row(row: &PgRow) -> sqlx::Result<StoredCredentials> {
    let secret_hash = SecretHash::from_stored(row.try_get("secret_hash")?);
    let secret_hash = secret_hash.ok_or_else(|| sqlx::Error::Decode("a secret hash has the wrong length".into()))?;
    Ok(StoredCredentials { secret_hash, scopes: scopes_from_row(row)? })
}

fn scopes_from_row(row: &PgRow) -> sqlx::Result<Option<Scopes>> {
    // A newer version of the service may have stored scopes that this version does not know. They grant nothing here.
    Ok(row.try_get::<Option<&str>, _>("scope")?.map(Scopes::from_claim))
}
