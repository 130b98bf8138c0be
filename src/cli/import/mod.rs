//! `contacts import`: creates and updates contacts from a file, with the same code that the API uses (docs/import.md).
//!
//! A thread reads and checks a chunk of rows while the chunk before it is written. Each chunk is one transaction, or
//! several if its contacts are large. An interrupted import can be run again: rows that are already imported do not change.
//!
//! | step | files |
//! |---|---|
//! | Read the arguments | `arguments` |
//! | Open the file, find its header row | `open_table`, `decoded_text`, `quote_blanks` |
//! | Read rows | `row_source`, `csv_rows`, `line_tracker`, `cell_position`, `xlsx_rows`, `vcard_rows`, `embedded_rows`, `footer`, `row` |
//! | Show the plan, ask | `plan`, `printable` |
//! | Write chunks of rows | `read_chunks`, `chunk`, `write_chunks`, `rows_without_key`, `key_lines` |
//! | Report | `tally`, `progress`, `import_summary`, `refused_rows_report` |

mod arguments;
mod cell_position;
mod chunk;
mod csv_rows;
mod decoded_text;
mod embedded_rows;
mod footer;
mod import_summary;
mod key_lines;
mod line_tracker;
mod open_table;
mod plan;
mod printable;
mod progress;
mod quote_blanks;
mod read_chunks;
mod refused_rows_report;
mod row;
mod row_source;
mod rows_without_key;
mod tally;
mod vcard_rows;
mod write_chunks;
mod xlsx_rows;

use std::sync::Arc;

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::error::CliError;
use super::graceful_shutdown::wait_for_shutdown_signal;
use super::open_repository::open_command_database;
use crate::config::Environment;
use crate::contacts::now;
use crate::import_export::{ColumnMapping, MappingOptions};
use crate::repository::{ImportLabel, Repository};
pub(super) use arguments::ImportArguments;
use import_summary::ImportSummary;
use key_lines::KeyLines;
use open_table::{OpenTable, open_table};
use progress::ImportProgress;
use read_chunks::ChunkReader;
use refused_rows_report::RefusedRowsReport;
use rows_without_key::RowsWithoutKey;
use write_chunks::ChunkWriter;

const INTERRUPTED: &str =
    "import interrupted. To import the remaining rows, run it again: rows already imported stay unchanged";

pub(super) async fn run(environment: &Environment, arguments: &ImportArguments) -> Result<(), CliError> {
    let database = open_command_database(environment).await?;
    let account = database.account(arguments.account)?;
    let repository = database.repository;
    let failed = |error: &dyn std::fmt::Display| CliError::Other(format!("could not load the fields: {error}"));
    let registry = repository.registry(account).await.map_err(|error| failed(&error))?;
    let table = {
        let (input, registry) = (arguments.input().map(ToOwned::to_owned), Arc::clone(&registry));
        // Reading the first rows blocks, and so does unpacking a workbook.
        let opened = tokio::task::spawn_blocking(move || open_table(input.as_deref(), &registry)).await;
        opened.map_err(|error| CliError::Other(format!("internal error: {error}")))??
    };
    let options = arguments.mapping_options();
    let columns = ColumnMapping::new(&table.header, &table.sample, &options, &registry)
        .map_err(|error| CliError::Other(error.to_string()))?;
    eprint!("{}", plan::describe_import(&file_name(arguments), &table, &columns, &options));
    if !arguments.yes && !arguments.dry_run && arguments.input().is_some() && !plan::confirm()? {
        return Err(CliError::Other("nothing was imported".to_owned()));
    }
    let mut report = RefusedRowsReport::create(arguments.report.as_deref(), arguments.input(), &table.header)?;
    let import = Import { repository: &repository, account, arguments, options: &options };
    let mut summary = ImportSummary::default();
    let written = import.run(table, columns, &mut report, &mut summary).await;
    let place = report.finish();
    written?;
    match place? {
        Some(place) if summary.refused > 0 => Err(CliError::Other(format!(
            "refused {}: see {place}. You can mend them there and import them again",
            plan::count_rows(summary.refused)
        ))),
        Some(place) if summary.rows_with_skipped_cells > 0 => {
            let rows = plan::count_rows(summary.rows_with_skipped_cells);
            eprintln!("Stored {rows} without an invalid cell: see {place}");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns the name of the file for people.
fn file_name(arguments: &ImportArguments) -> String {
    let name = arguments.input().and_then(|path| path.file_name());
    name.map_or("standard input".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// An import that was confirmed.
struct Import<'a> {
    repository: &'a Repository,
    account: Uuid,
    arguments: &'a ImportArguments,
    options: &'a MappingOptions,
}

impl Import<'_> {
    /// Imports the rows and prints a summary, even if the import fails or is interrupted.
    async fn run(
        &self,
        table: OpenTable,
        columns: ColumnMapping,
        report: &mut RefusedRowsReport,
        summary: &mut ImportSummary,
    ) -> Result<(), CliError> {
        let dry_run = self.arguments.dry_run;
        let columns = Arc::new(ArcSwap::from_pointee(columns));
        let reader = ChunkReader::start(table.rows, Arc::clone(&columns));
        let label = ImportLabel { started_at: now(), file_name: file_name(self.arguments) };
        let mut writer = ChunkWriter {
            repository: self.repository,
            account: self.account,
            actor: self.arguments.actor.as_str().into(),
            dry_run,
            header: &table.header,
            sample: &table.sample,
            options: self.options,
            columns: &columns,
            progress: ImportProgress::start(table.size),
            report,
            summary,
            key_lines: KeyLines::default(),
            rows_without_key: RowsWithoutKey::new(label),
        };
        // A signal can interrupt the transaction of a chunk. The transaction is then committed completely or not at all.
        let written = tokio::select! {
            written = writer.write_all(reader) => written,
            () = wait_for_shutdown_signal() => Err(CliError::Other(INTERRUPTED.to_owned())),
        };
        writer.progress.finish();
        if dry_run {
            eprintln!("Dry run: no contact was written");
        }
        let printed = summary.print();
        written.and(printed)
    }
}
