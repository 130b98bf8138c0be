//! `contacts import`: creates and updates contacts from the rows of a CSV file, with the same code that the API uses.
//!
//! A thread reads and checks a chunk of rows while the chunk before it is written. Each chunk is one transaction, or
//! several if its contacts are large. An interrupted import can be run again: rows that are already imported do not change.

mod chunk;
mod csv_rows;
mod progress;
mod read_chunks;
mod rejected_rows_report;
mod write_chunks;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use clap::Args;
use uuid::Uuid;

use super::error::CliError;
use super::graceful_shutdown::wait_for_shutdown_signal;
use super::open_repository::open_repository;
use crate::config::Environment;
use crate::import_export::{ColumnMapping, MappingOptions};
use crate::repository::{FieldError, Repository};
use csv_rows::CsvRows;
use progress::ImportProgress;
use read_chunks::ChunkReader;
use rejected_rows_report::RejectedRowsReport;
use write_chunks::ChunkWriter;

const INTERRUPTED: &str =
    "import interrupted. To import the remaining rows, run it again: rows already imported stay unchanged";

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// CSV file in UTF-8. Its header row contains the internal names of fields. `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Account id
    #[arg(long, value_name = "UUID")]
    account: Uuid,
    /// Unique field that identifies a contact. Existing contacts are updated, others are created
    #[arg(long = "match", value_name = "FIELD")]
    match_field: String,
    /// Map a CSV column to a field, for example "E-mail=email". "Notes=" skips the column Notes. Can be repeated
    #[arg(long = "map", value_name = "HEADER=FIELD", value_parser = parse_map)]
    maps: Vec<(String, String)>,
    /// Validate every row without saving anything
    #[arg(long)]
    dry_run: bool,
    /// Create a text field for each unknown column
    #[arg(long)]
    create_fields: bool,
    /// Actor that the change feed and the history record
    #[arg(long, value_name = "NAME", default_value = "import")]
    actor: String,
    /// File for rejected rows [default: NAME.refused.csv beside FILE]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Parses `--map HEADER=FIELD`. The last `=` separates the two: a header may contain `=`, a field name cannot.
fn parse_map(text: &str) -> Result<(String, String), String> {
    let (header, name) = text.rsplit_once('=').ok_or("expected \"header=field\", for example \"E-mail=email\"")?;
    Ok((header.trim().to_owned(), name.trim().to_owned()))
}

pub(super) async fn run(environment: &Environment, arguments: &ImportArguments) -> Result<(), CliError> {
    let repository = open_repository(environment).await?;
    let input = (arguments.file != Path::new("-")).then_some(&*arguments.file);
    let (source, size) = open_input(input).map_err(|error| unreadable(&arguments.file, &error))?;
    let mut rows = CsvRows::new(source);
    let header = read_header(&mut rows, &arguments.file)?;
    let mut report = RejectedRowsReport::create(arguments.report.as_deref(), input)?;
    let written = import_rows(&repository, arguments, &header, rows, size, &mut report).await;
    let rejected = report.row_count();
    let path = report.finish();
    written?;
    match path {
        Some(path) if rejected > 0 => {
            let rows = if rejected == 1 { "1 row was".to_owned() } else { format!("{rejected} rows were") };
            Err(CliError::Other(format!("{rows} rejected: see {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Imports the rows and prints a summary, even if the import fails or is interrupted.
async fn import_rows(
    repository: &Repository,
    arguments: &ImportArguments,
    header: &[String],
    rows: CsvRows<Box<dyn Read + Send>>,
    size: Option<u64>,
    report: &mut RejectedRowsReport,
) -> Result<(), CliError> {
    let options = MappingOptions {
        maps: arguments.maps.clone(),
        match_field: arguments.match_field.clone(),
        create_fields: arguments.create_fields,
    };
    let columns = map_columns(repository, arguments, header, &options).await?;
    let columns = Arc::new(ArcSwap::from_pointee(columns));
    let (account, dry_run) = (arguments.account, arguments.dry_run);
    let actor: Arc<str> = arguments.actor.as_str().into();
    let reader = ChunkReader::start(rows, Arc::clone(&columns));
    let mut writer = ChunkWriter {
        repository,
        account,
        actor,
        dry_run,
        header,
        options: &options,
        columns: &columns,
        progress: ImportProgress::start(size),
        report,
        totals: write_chunks::ImportTotals::default(),
    };
    // A signal can interrupt the transaction of a chunk. The transaction is then committed completely or not at all.
    let written = tokio::select! {
        written = writer.write_all(reader) => written,
        () = wait_for_shutdown_signal() => Err(CliError::Other(INTERRUPTED.to_owned())),
    };
    let printed = writer.print_summary();
    written.and(printed)
}

/// Opens the input, and returns it with its size if it is a regular file.
fn open_input(input: Option<&Path>) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    let Some(path) = input else { return Ok((Box::new(io::stdin()), None)) };
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((Box::new(file), Some(metadata.len()).filter(|_| metadata.is_file())))
}

fn unreadable(file: &Path, error: &io::Error) -> CliError {
    CliError::Other(format!("could not read {}: {error}", file.display()))
}

fn read_header<R: Read>(rows: &mut CsvRows<R>, file: &Path) -> Result<Vec<String>, CliError> {
    let row = rows.next().map_err(|error| unreadable(file, &error))?;
    let row = row.ok_or_else(|| {
        CliError::Other(format!("{} is empty. The first row must be a header with field names", file.display()))
    })?;
    let cells = row.cells().ok_or_else(|| {
        CliError::Other(format!("the header of {} is not UTF-8. Save the file as \"CSV UTF-8\"", file.display()))
    })?;
    Ok(cells.map(str::to_owned).collect())
}

/// Maps the columns of a header to fields. Creates the missing fields of `--create-fields`, except in a dry run.
async fn map_columns(
    repository: &Repository,
    arguments: &ImportArguments,
    header: &[String],
    options: &MappingOptions,
) -> Result<ColumnMapping, CliError> {
    let failed =
        |error: &dyn std::fmt::Display| CliError::Other(format!("could not load or create the fields: {error}"));
    let account = arguments.account;
    let registry = repository.registry(account).await.map_err(|error| failed(&error))?;
    let columns = ColumnMapping::new(header, options, &registry).map_err(|error| CliError::Other(error.to_string()))?;
    if !columns.skipped_columns().is_empty() {
        eprintln!("Skipped read-only columns: {}", columns.skipped_columns().join(", "));
    }
    if arguments.dry_run || columns.new_fields().is_empty() {
        return Ok(columns);
    }
    for new in columns.new_fields() {
        match repository.create_field(account, new, None).await {
            Ok(_) => eprintln!("Created text field {}", new.internal_name),
            // Another process created the field first, or a field with a similar name. When the header is mapped again,
            // the type of the field is checked, and a similar name is a problem.
            Err(FieldError::Duplicate) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    let registry = repository.reload_registry(account).await.map_err(|error| failed(&error))?;
    ColumnMapping::new(header, options, &registry).map_err(|error| CliError::Other(error.to_string()))
}
