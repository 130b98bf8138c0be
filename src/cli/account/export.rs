//! `contacts account export`: writes all data of an account, one JSON object a line, each with its `type`.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;

use futures_util::TryStreamExt;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::error::CliError;
use crate::clients::Client;
use crate::contacts::{Contact, FeedCursor, FeedScope, RenderedContact, RenderedEntry};
use crate::fields::{CustomSelection, Registry, Selection, format_instant};
use crate::http::FieldResponse;
use crate::repository::{FeedRequest, FeedStart, Repository};

/// The number of entries of the change feed that are read at a time.
const ENTRIES_AT_A_TIME: i64 = 1_000;

/// A line of the export.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    /// A custom field, as the API returns it, except that its own type is `field_type`.
    Field {
        field: FieldResponse<'a>,
    },
    Client {
        client: ClientLine<'a>,
    },
    /// A contact with every field, as the API returns it. Archived ones, too.
    Contact {
        contact: RenderedContact<'a>,
    },
    /// An entry of the change feed, as the API returns it.
    Change {
        change: RenderedEntry<'a>,
    },
}

/// An API client, without its secret.
#[derive(Serialize)]
struct ClientLine<'a> {
    client_id: String,
    name: &'a str,
    scope: Option<String>,
    created_at: String,
    revoked_at: Option<String>,
}

pub(super) async fn run(repository: &Repository, account: Uuid) -> Result<(), CliError> {
    let mut output = LineWriter { output: BufWriter::with_capacity(256 * 1024, io::stdout().lock()), error: None };
    let read = write_account(repository, account, &mut output).await;
    match output.finish() {
        // The reader closed the pipe early, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::Other(format!("could not write the export: {error}"))),
        Ok(()) => read.map_err(|error| CliError::Other(format!("could not read the account: {error}"))),
    }
}

/// Writes the fields, contacts and clients of an account, and then its feed, so that the feed has every change of the contacts.
async fn write_account(
    repository: &Repository,
    account: Uuid,
    output: &mut LineWriter<impl Write>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut selection = Selection::default();
    let visit = |registry: &Registry, contact: Option<&Contact>| match contact {
        None => {
            selection = Selection::all(registry);
            let mut custom = registry.fields().iter().filter(|field| !field.system);
            custom.try_for_each(|field| output.write(&Line::Field { field: FieldResponse::new(field) }))
        }
        Some(contact) => output.write(&Line::Contact { contact: contact.render(&selection) }),
    };
    repository.export_contacts(account, true, visit).await?;
    for client in repository.list_clients(Some(account)).await? {
        if output.write(&Line::Client { client: ClientLine::new(&client) }).is_break() {
            return Ok(());
        }
    }
    write_feed(repository, account, output).await
}

async fn write_feed(
    repository: &Repository,
    account: Uuid,
    output: &mut LineWriter<impl Write>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut registry = repository.reload_registry(account).await?;
    let (mut after, no_properties) = (FeedStart::Oldest, Selection::default());
    loop {
        let request =
            FeedRequest { after, limit: ENTRIES_AT_A_TIME, exclude: None, custom_fields: CustomSelection::default() };
        let page = repository.read_changes(account, &request).await?;
        let Some(entries) = page.entries else { return Ok(()) };
        // The page is read before it is written: the output may be slow, and the database waits only for a time.
        let entries: Vec<_> = entries.try_collect().await?;
        if !registry.version().includes(page.registry_version) {
            registry = repository.reload_registry(account).await?;
        }
        for entry in entries {
            let change = entry.render(FeedScope::Feed(account), &registry, &no_properties);
            if output.write(&Line::Change { change }).is_break() {
                return Ok(());
            }
            after = FeedStart::Cursor(FeedCursor::after(&entry));
        }
    }
}

impl<'a> ClientLine<'a> {
    fn new(client: &'a Client) -> Self {
        Self {
            client_id: client.id.to_string(),
            name: &client.name,
            scope: client.scopes.map(|scopes| scopes.to_string()),
            created_at: format_instant(client.created_at),
            revoked_at: client.revoked_at.map(format_instant),
        }
    }
}

/// Writes lines until the first error.
struct LineWriter<W: Write> {
    output: W,
    error: Option<io::Error>,
}

impl<W: Write> LineWriter<W> {
    fn write(&mut self, line: &Line<'_>) -> ControlFlow<()> {
        if self.error.is_none() {
            let written = serde_json::to_writer(&mut self.output, line).map_err(io::Error::from);
            self.error = written.and_then(|()| self.output.write_all(b"\n")).err();
        }
        if self.error.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn finish(mut self) -> io::Result<()> {
        match self.error {
            Some(error) => Err(error),
            None => self.output.flush(),
        }
    }
}
