//! API clients. Their rows are never deleted: what a client did stays recorded under its id.

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{Repository, StorageError, rows};
use crate::clients::{Client, ClientId, Name, Scopes, SecretHash};
use crate::contacts::now;

/// What a client that asks for a token must show, and what it may get.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The hash of its secret.
    pub secret: SecretHash,
    /// What its tokens may do; `None`: everything.
    pub scopes: Option<Scopes>,
}

impl Repository {
    /// Makes a client of an account whose tokens may do what `scopes` hold (`None`: everything). Returns its id.
    ///
    /// # Errors
    /// The database.
    pub async fn create_client(
        &self,
        account: Uuid,
        name: &Name,
        scopes: Option<Scopes>,
        secret: &SecretHash,
    ) -> Result<ClientId, StorageError> {
        const INSERT: &str = "INSERT INTO clients (account_id, id, name, scope, secret_hash, created_at) \
                              VALUES ($1, $2, $3, $4, $5, $6)";
        let id = ClientId::new(account);
        let insert = sqlx::query(INSERT).bind(account).bind(id.client).bind(name.as_str());
        let insert = insert.bind(scopes.map(|scopes| scopes.to_string())).bind(secret.as_bytes()).bind(now());
        insert.execute(&mut *self.pool.acquire().await?).await?;
        Ok(id)
    }

    /// The clients of an account, or of all; revoked ones too. In order of creation within each account.
    ///
    /// # Errors
    /// The database.
    pub async fn clients(&self, account: Option<Uuid>) -> Result<Vec<Client>, StorageError> {
        const ALL: &str =
            "SELECT account_id, id, name, scope, created_at, revoked_at FROM clients ORDER BY account_id, id";
        const OF_ONE: &str = "SELECT account_id, id, name, scope, created_at, revoked_at FROM clients \
                              WHERE account_id = $1 ORDER BY id";
        let rows = match account {
            None => sqlx::query(ALL).fetch_all(&mut *self.pool.acquire().await?).await?,
            Some(account) => sqlx::query(OF_ONE).bind(account).fetch_all(&mut *self.pool.acquire().await?).await?,
        };
        Ok(rows.iter().map(client).collect::<sqlx::Result<_>>()?)
    }

    /// Revokes a client: it gets no more tokens, and every instance soon refuses those it has. One that is revoked
    /// already stays as it is. Returns whether there is such a client.
    ///
    /// # Errors
    /// The database.
    pub async fn revoke_client(&self, id: ClientId) -> Result<bool, StorageError> {
        const REVOKE: &str =
            "UPDATE clients SET revoked_at = COALESCE(revoked_at, $3) WHERE account_id = $1 AND id = $2";
        let revoke = sqlx::query(REVOKE).bind(id.account).bind(id.client).bind(now());
        Ok(revoke.execute(&mut *self.pool.acquire().await?).await?.rows_affected() > 0)
    }

    /// What a client must show to get a token; `None` when there is no such client, or it is revoked.
    ///
    /// # Errors
    /// The database.
    pub async fn client_credentials(&self, id: ClientId) -> Result<Option<Credentials>, StorageError> {
        const FIND: &str =
            "SELECT secret_hash, scope FROM clients WHERE account_id = $1 AND id = $2 AND revoked_at IS NULL";
        let row =
            sqlx::query(FIND).bind(id.account).bind(id.client).fetch_optional(&mut *self.pool.admit().await?).await?;
        Ok(row.as_ref().map(credentials).transpose()?)
    }

    /// Whether a client's tokens are no longer good. From memory: at most a few seconds older than the database.
    ///
    /// # Errors
    /// The database, when it has not been asked yet since the start.
    pub async fn is_client_revoked(&self, id: ClientId) -> Result<bool, StorageError> {
        self.revocations.contains(id).await
    }
}

fn client(row: &PgRow) -> sqlx::Result<Client> {
    Ok(Client {
        id: id(row)?,
        name: row.try_get("name")?,
        scopes: scopes(row)?,
        created_at: row.try_get("created_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

fn credentials(row: &PgRow) -> sqlx::Result<Credentials> {
    let secret = SecretHash::from_stored(row.try_get("secret_hash")?);
    let secret = secret.ok_or_else(|| sqlx::Error::Decode("a secret's hash has another length".into()))?;
    Ok(Credentials { secret, scopes: scopes(row)? })
}

/// The client of a row that carries its key.
pub(super) fn id(row: &PgRow) -> sqlx::Result<ClientId> {
    Ok(ClientId { account: rows::account(row)?, client: row.try_get("id")? })
}

fn scopes(row: &PgRow) -> sqlx::Result<Option<Scopes>> {
    // A newer version of the service may know more scopes: they grant nothing here.
    Ok(row.try_get::<Option<&str>, _>("scope")?.map(Scopes::of_claim))
}
