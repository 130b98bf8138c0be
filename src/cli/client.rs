//! `contacts client`: creates, lists and revokes API clients.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::error::CliError;
use super::open_repository::open_command_database;
use super::output::print;
use super::scope_argument::{parse_scopes, print_note_about_missing_scope};
use crate::clients::{Client, ClientId, ClientName, Scopes, SecretHash, generate_secret};
use crate::config::{Environment, requires_scope};
use crate::fields::format_instant;
use crate::repository::Repository;

#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Create a client and print its id and secret. The secret cannot be shown again
    Create(NewClient),
    /// List clients, including revoked ones
    List {
        /// List only the clients of this account
        #[arg(long, value_name = "UUID")]
        account: Option<Uuid>,
    },
    /// Revoke a client. It can request no more tokens, and its current tokens stop working within 5 seconds
    Revoke {
        /// Client id, as printed by `create` and `list`
        #[arg(value_name = "CLIENT_ID")]
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct NewClient {
    /// Id of the account that the client can access. Without DATABASE_URL, the default is the sample account of
    /// `contacts dev`
    #[arg(long, value_name = "UUID")]
    account: Option<Uuid>,
    /// Display name of the client
    #[arg(long)]
    name: ClientName,
    /// Scopes of the client's tokens, separated by spaces: contacts:read, contacts:write, contacts:purge, fields:write
    /// [default: no limit]
    #[arg(long, value_name = "SCOPES", value_parser = parse_scopes)]
    scope: Option<Scopes>,
}

pub(super) async fn run(environment: &Environment, command: &ClientCommand) -> Result<(), CliError> {
    let require_scope = requires_scope(environment)?;
    let database = open_command_database(environment).await?;
    let repository = &database.repository;
    match command {
        ClientCommand::Create(new) => {
            create_client(repository, database.account(new.account)?, new, require_scope).await
        }
        ClientCommand::List { account } => list_clients(repository, *account).await,
        ClientCommand::Revoke { id } => revoke_client(repository, id).await,
    }
}

async fn create_client(
    repository: &Repository,
    account: Uuid,
    new: &NewClient,
    require_scope: bool,
) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Other(format!("could not create the client: {error}"));
    let secret = generate_secret().map_err(|error| failed(&error))?;
    let created = repository.create_client(account, &new.name, new.scope, &SecretHash::from_secret(&secret)).await;
    let id = created.map_err(|error| failed(&error))?;
    print(&format!("client_id: {id}\nclient_secret: {}\n", secret.expose()))?;
    if new.scope.is_none() {
        print_note_about_missing_scope("the tokens of this client have", require_scope);
    }
    Ok(())
}

async fn list_clients(repository: &Repository, account: Option<Uuid>) -> Result<(), CliError> {
    let clients = repository.list_clients(account).await;
    let clients = clients.map_err(|error| CliError::Other(format!("could not list the clients: {error}")))?;
    print(&clients.iter().map(format_client).collect::<String>())
}

async fn revoke_client(repository: &Repository, id: &str) -> Result<(), CliError> {
    let not_found = || CliError::Other(format!("no client with id {id}. `contacts client list` shows all ids"));
    let client = ClientId::parse(id).ok_or_else(not_found)?;
    let revoked = repository.revoke_client(client).await;
    let revoked = revoked.map_err(|error| CliError::Other(format!("could not revoke the client: {error}")))?;
    if !revoked {
        return Err(not_found());
    }
    print(&format!("Revoked {client}\n"))
}

/// Formats a client as one line of tab-separated columns: id, account, creation time, state, scopes, name.
fn format_client(client: &Client) -> String {
    let state = client.revoked_at.map_or("active".to_owned(), |at| format!("revoked {}", format_instant(at)));
    let scopes = client.scopes.map_or("everything".to_owned(), |scopes| scopes.to_string());
    format!(
        "{}\t{}\t{}\t{state}\t{scopes}\t{}\n",
        client.id,
        client.id.account,
        format_instant(client.created_at),
        client.name
    )
}
