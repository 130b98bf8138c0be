//! `contacts account purge`: removes an account with all its data.

use std::time::Duration;

use uuid::Uuid;

use crate::cli::confirmation::ask;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::repository::Repository;

/// The time in which every instance notices that a client was revoked.
const REVOCATION_TIME: Duration = Duration::from_secs(5);

pub(super) async fn run(repository: &Repository, account: Uuid, is_confirmed: bool) -> Result<(), CliError> {
    if !is_confirmed && !confirm(account)? {
        return Err(CliError::Other("nothing was removed: the answer is not the id of the account".to_owned()));
    }
    let failed = |error: &dyn std::fmt::Display| {
        CliError::Other(format!("could not remove the whole account: {error}. Run the command again for the rest"))
    };
    let clients = repository.revoke_clients(account).await.map_err(|error| failed(&error))?;
    if clients > 0 {
        tokio::time::sleep(REVOCATION_TIME).await;
    }
    let removed = repository.purge_account(account).await.map_err(|error| failed(&error))?;
    let clients = (clients > 0).then_some(("clients (their ids stay, as revoked)", clients));
    let lines: String = removed.into_iter().chain(clients).map(|(table, rows)| format!("{rows}\t{table}\n")).collect();
    print(&format!("Removed account {account}\n{lines}"))
}

/// Asks for the id of the account on the terminal. Returns whether the answer is the id.
fn confirm(account: Uuid) -> Result<bool, CliError> {
    let question =
        "All contacts, fields, API clients and changes of the account are removed for good.\nEnter its id to go on:";
    Ok(ask(question)?.parse() == Ok(account))
}
