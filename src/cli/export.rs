//! `contacts export`: the active contacts of an account on standard output, however many there are.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use uuid::Uuid;

use super::CliError;
use crate::config::{DatabaseSettings, Environment};
use crate::contacts::Contact;
use crate::fields::{Registry, Selection};
use crate::repository::Repository;
use crate::transfer;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The account
    #[arg(long, value_name = "UUID")]
    account: Uuid,
    /// What is written: csv, which `contacts import` reads, or ndjson, a line for each contact as the API answers it
    #[arg(long, value_enum)]
    format: Format,
    /// For people who open it in a spreadsheet: an apostrophe before each cell that could be taken for a formula. Such a
    /// file is not what was stored: keep it out of `contacts import`. Only with csv
    #[arg(long)]
    spreadsheet_safe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

pub(super) async fn run(environment: &Environment, arguments: &Arguments) -> Result<(), CliError> {
    if arguments.spreadsheet_safe && arguments.format != Format::Csv {
        return Err(CliError::Other("--spreadsheet-safe goes with --format csv only".to_owned()));
    }
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    let output = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    let written = match arguments.format {
        Format::Csv => {
            let sheet = Sheet { output: csv::Writer::from_writer(output), has_header: false, arguments };
            write(&repository, arguments.account, sheet).await?
        }
        Format::Ndjson => write(&repository, arguments.account, Lines { output, selection: None }).await?,
    };
    match written {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| CliError::Other(format!("could not write the export: {error}"))),
    }
}

/// Writes all contacts. The error within is the output's.
async fn write(repository: &Repository, account: Uuid, mut writer: impl Output) -> Result<io::Result<()>, CliError> {
    let mut written = Ok(());
    let visit = |registry: &Registry, contacts: &[Contact]| {
        written = writer.write(registry, contacts);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let read = repository.each_contact(account, visit).await;
    read.map_err(|error| CliError::Other(format!("could not read the contacts: {error}")))?;
    Ok(written.and_then(|()| writer.finish()))
}

/// A format, on its way out.
trait Output {
    /// Writes a page of contacts; the first of them may be empty.
    fn write(&mut self, registry: &Registry, contacts: &[Contact]) -> io::Result<()>;

    /// Writes what is still in memory.
    fn finish(self) -> io::Result<()>;
}

/// CSV: a header, and a row for each contact.
struct Sheet<'a, W: Write> {
    output: csv::Writer<W>,
    has_header: bool,
    arguments: &'a Arguments,
}

impl<W: Write> Output for Sheet<'_, W> {
    fn write(&mut self, registry: &Registry, contacts: &[Contact]) -> io::Result<()> {
        if !self.has_header {
            self.output.write_record(transfer::header(registry)).map_err(of_output)?;
            self.has_header = true;
        }
        for contact in contacts {
            for cell in transfer::cells(contact, registry, self.arguments.spreadsheet_safe) {
                self.output.write_field(cell.as_bytes()).map_err(of_output)?;
            }
            self.output.write_record(None::<&[u8]>).map_err(of_output)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The error of the output itself: what is written can have no other.
fn of_output(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// NDJSON: a contact a line, with every field.
struct Lines<W: Write> {
    output: W,
    selection: Option<Selection>,
}

impl<W: Write> Output for Lines<W> {
    fn write(&mut self, registry: &Registry, contacts: &[Contact]) -> io::Result<()> {
        let selection = self.selection.get_or_insert_with(|| Selection::all(registry));
        for contact in contacts {
            serde_json::to_writer(&mut self.output, &contact.show(selection))?;
            self.output.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.output.flush()
    }
}
