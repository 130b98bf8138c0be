//! `contacts client`: makes, lists and revokes API clients.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{CliError, print};
use crate::clients::{Client, ClientId, Name, Scopes, SecretHash, new_secret};
use crate::config::{DatabaseSettings, Environment};
use crate::fields::format_instant;
use crate::repository::Repository;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a client, and print its id and its secret. The secret is shown this once only
    Create(NewClient),
    /// List clients, revoked ones too
    List {
        /// Only those of this account
        #[arg(long, value_name = "UUID")]
        account: Option<Uuid>,
    },
    /// Revoke a client: it gets no more tokens, and those it has end within 5 seconds
    Revoke {
        /// The client's id, as `create` and `list` print it
        #[arg(value_name = "CLIENT_ID")]
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct NewClient {
    /// The account that the client acts for
    #[arg(long, value_name = "UUID")]
    account: Uuid,
    /// What people call the client
    #[arg(long)]
    name: Name,
    /// What its tokens may do, joined by blanks: contacts:read, contacts:write, contacts:purge, fields:write [default:
    /// everything]
    #[arg(long, value_name = "SCOPES", value_parser = scopes)]
    scope: Option<Scopes>,
}

pub(super) async fn run(environment: &Environment, command: &Command) -> Result<(), CliError> {
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    match command {
        Command::Create(new) => create(&repository, new).await,
        Command::List { account } => list(&repository, *account).await,
        Command::Revoke { id } => revoke(&repository, id).await,
    }
}

/// What `--scope` names. A client that may do nothing is of no use: whoever says `--scope "$SCOPES"` has forgotten to set it.
fn scopes(text: &str) -> Result<Scopes, String> {
    let scopes: Scopes = text.parse().map_err(|error| format!("{error}"))?;
    if scopes.is_empty() {
        Err("name at least one scope, or leave it out to allow everything".to_owned())
    } else {
        Ok(scopes)
    }
}

async fn create(repository: &Repository, new: &NewClient) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Other(format!("could not make the client: {error}"));
    let secret = new_secret().map_err(|error| failed(&error))?;
    let created = repository.create_client(new.account, &new.name, new.scope, &SecretHash::of(&secret)).await;
    let id = created.map_err(|error| failed(&error))?;
    print(&format!("client_id: {id}\nclient_secret: {}\n", secret.expose()))
}

async fn list(repository: &Repository, account: Option<Uuid>) -> Result<(), CliError> {
    let clients = repository.clients(account).await;
    let clients = clients.map_err(|error| CliError::Other(format!("could not list the clients: {error}")))?;
    print(&clients.iter().map(line).collect::<String>())
}

async fn revoke(repository: &Repository, id: &str) -> Result<(), CliError> {
    let unknown = || CliError::Other(format!("there is no client {id}"));
    let client = ClientId::parse(id).ok_or_else(unknown)?;
    let revoked = repository.revoke_client(client).await;
    let revoked = revoked.map_err(|error| CliError::Other(format!("could not revoke the client: {error}")))?;
    if !revoked {
        return Err(unknown());
    }
    print(&format!("{client} is revoked\n"))
}

/// A client as a line, its parts separated by tabs: id, account, creation, state, scopes, name.
fn line(client: &Client) -> String {
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
