//! `contacts export`: writes the active contacts of an account to standard output.
//!
//! Contacts are read one at a time, so memory use depends neither on their number nor on their size.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use uuid::Uuid;

use super::error::CliError;
use super::open_repository::open_command_database;
use crate::config::Environment;
use crate::contacts::Contact;
use crate::fields::{Registry, Selection};
use crate::import_export;
use crate::repository::Repository;

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Account id. Without DATABASE_URL, the default is the sample account of `contacts dev`
    #[arg(long, value_name = "UUID")]
    account: Option<Uuid>,
    /// Output format: csv, which `contacts import` can read, or ndjson, one contact a line as the API returns it
    #[arg(long, value_enum)]
    format: ExportFormat,
    /// Put an apostrophe before each cell that a spreadsheet could run as a formula. Only with csv. Do not import such
    /// a file: its cells differ from the stored values
    #[arg(long)]
    spreadsheet_safe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Csv,
    Ndjson,
}

pub(super) async fn run(environment: &Environment, arguments: &ExportArguments) -> Result<(), CliError> {
    if arguments.spreadsheet_safe && arguments.format != ExportFormat::Csv {
        return Err(CliError::Other("--spreadsheet-safe requires --format csv".to_owned()));
    }
    let database = open_command_database(environment).await?;
    let account = database.account(arguments.account)?;
    let repository = database.repository;
    let output = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    let written = match arguments.format {
        ExportFormat::Csv => {
            let writer = CsvWriter { output: csv::Writer::from_writer(output), arguments };
            write_contacts(&repository, account, writer).await?
        }
        ExportFormat::Ndjson => {
            write_contacts(&repository, account, NdjsonWriter { output, selection: Selection::default() }).await?
        }
    };
    match written {
        // The reader closed the pipe early, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| CliError::Other(format!("could not write the export: {error}"))),
    }
}

/// Writes all contacts one by one.
///
/// The outer error is a failure to read the contacts. The inner error is a failure to write the output.
async fn write_contacts(
    repository: &Repository,
    account: Uuid,
    mut writer: impl ExportWriter,
) -> Result<io::Result<()>, CliError> {
    let mut written = Ok(());
    let visit = |registry: &Registry, contact: Option<&Contact>| {
        written = match contact {
            None => writer.start(registry),
            Some(contact) => writer.write_contact(registry, contact),
        };
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let read = repository.export_contacts(account, false, visit).await;
    read.map_err(|error| CliError::Other(format!("could not read the contacts: {error}")))?;
    Ok(written.and_then(|()| writer.finish()))
}

/// Writes contacts in one output format.
trait ExportWriter {
    /// Writes what comes before the first contact.
    fn start(&mut self, registry: &Registry) -> io::Result<()>;

    /// Writes a contact.
    fn write_contact(&mut self, registry: &Registry, contact: &Contact) -> io::Result<()>;

    /// Writes the buffered output.
    fn finish(self) -> io::Result<()>;
}

/// Writes CSV: a header row, then one row for each contact.
struct CsvWriter<'a, W: Write> {
    output: csv::Writer<W>,
    arguments: &'a ExportArguments,
}

impl<W: Write> ExportWriter for CsvWriter<'_, W> {
    fn start(&mut self, registry: &Registry) -> io::Result<()> {
        self.output.write_record(import_export::export_header(registry.fields())).map_err(from_csv_error)
    }

    fn write_contact(&mut self, registry: &Registry, contact: &Contact) -> io::Result<()> {
        for cell in import_export::export_cells(contact, registry.fields(), self.arguments.spreadsheet_safe) {
            self.output.write_field(cell.as_bytes()).map_err(from_csv_error)?;
        }
        self.output.write_record(None::<&[u8]>).map_err(from_csv_error)
    }

    fn finish(mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Converts an error of the CSV writer. Only I/O errors can occur, because all records have the same length.
fn from_csv_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Writes NDJSON: one line for each contact, with every field.
struct NdjsonWriter<W: Write> {
    output: W,
    /// All fields of the account, once the export has started.
    selection: Selection,
}

impl<W: Write> ExportWriter for NdjsonWriter<W> {
    fn start(&mut self, registry: &Registry) -> io::Result<()> {
        self.selection = Selection::all(registry);
        Ok(())
    }

    fn write_contact(&mut self, _: &Registry, contact: &Contact) -> io::Result<()> {
        serde_json::to_writer(&mut self.output, &contact.render(&self.selection))?;
        self.output.write_all(b"\n")
    }

    fn finish(mut self) -> io::Result<()> {
        self.output.flush()
    }
}
