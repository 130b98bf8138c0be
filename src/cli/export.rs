//! `contacts export`: writes the active contacts of an account to standard output.
//!
//! Contacts are read in pages, so memory use does not depend on their number.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use uuid::Uuid;

use super::error::CliError;
use crate::config::{DatabaseSettings, Environment};
use crate::contacts::Contact;
use crate::fields::{Registry, Selection};
use crate::import_export;
use crate::repository::Repository;

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Account id
    #[arg(long, value_name = "UUID")]
    account: Uuid,
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
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    let output = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    let written = match arguments.format {
        ExportFormat::Csv => {
            let writer = CsvWriter { output: csv::Writer::from_writer(output), has_header: false, arguments };
            write_contacts(&repository, arguments.account, writer).await?
        }
        ExportFormat::Ndjson => {
            write_contacts(&repository, arguments.account, NdjsonWriter { output, selection: None }).await?
        }
    };
    match written {
        // The reader closed the pipe early, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| CliError::Other(format!("could not write the export: {error}"))),
    }
}

/// Writes all contacts page by page.
///
/// The outer error is a failure to read the contacts. The inner error is a failure to write the output.
async fn write_contacts(
    repository: &Repository,
    account: Uuid,
    mut writer: impl ExportWriter,
) -> Result<io::Result<()>, CliError> {
    let mut written = Ok(());
    let visit = |registry: &Registry, contacts: &[Contact]| {
        written = writer.write_page(registry, contacts);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let read = repository.export_contacts(account, visit).await;
    read.map_err(|error| CliError::Other(format!("could not read the contacts: {error}")))?;
    Ok(written.and_then(|()| writer.finish()))
}

/// Writes contacts in one output format.
trait ExportWriter {
    /// Writes a page of contacts. The first page may be empty.
    fn write_page(&mut self, registry: &Registry, contacts: &[Contact]) -> io::Result<()>;

    /// Writes the buffered output.
    fn finish(self) -> io::Result<()>;
}

/// Writes CSV: a header row, then one row for each contact.
struct CsvWriter<'a, W: Write> {
    output: csv::Writer<W>,
    has_header: bool,
    arguments: &'a ExportArguments,
}

impl<W: Write> ExportWriter for CsvWriter<'_, W> {
    fn write_page(&mut self, registry: &Registry, contacts: &[Contact]) -> io::Result<()> {
        if !self.has_header {
            self.output.write_record(import_export::export_header(registry)).map_err(from_csv_error)?;
            self.has_header = true;
        }
        for contact in contacts {
            for cell in import_export::export_cells(contact, registry, self.arguments.spreadsheet_safe) {
                self.output.write_field(cell.as_bytes()).map_err(from_csv_error)?;
            }
            self.output.write_record(None::<&[u8]>).map_err(from_csv_error)?;
        }
        Ok(())
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
    selection: Option<Selection>,
}

impl<W: Write> ExportWriter for NdjsonWriter<W> {
    fn write_page(&mut self, registry: &Registry, contacts: &[Contact]) -> io::Result<()> {
        let selection = self.selection.get_or_insert_with(|| Selection::all(registry));
        for contact in contacts {
            serde_json::to_writer(&mut self.output, &contact.render(selection))?;
            self.output.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.output.flush()
    }
}
