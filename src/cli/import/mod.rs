//! `contacts import`: the rows of a CSV file as upserts, through the same engine that the API writes with.
//!
//! One thread reads and checks rows; the chunk before them is prepared, while the one before that is stored. Each chunk
//! is a transaction: what is stopped in between can be run again, and finds what is there already.

mod chunk;
mod preparing;
mod progress;
mod reading;
mod report;
mod rows;
mod writing;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use clap::Args;
use uuid::Uuid;

use super::{CliError, stop};
use crate::config::{DatabaseSettings, Environment};
use crate::repository::{FieldError, Repository};
use crate::transfer::{Columns, Naming};
use preparing::Preparing;
use progress::Progress;
use reading::Reading;
use report::Report;
use rows::Rows;
use writing::Writing;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file: CSV in UTF-8, with a header of internal names. `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The account
    #[arg(long, value_name = "UUID")]
    account: Uuid,
    /// The unique field whose column names the contact of each row: it is changed, or created when there is none
    #[arg(long = "match", value_name = "FIELD")]
    property: String,
    /// What a header stands for, as "E-mail=email"; "Notes=" leaves a column out. May be repeated
    #[arg(long = "map", value_name = "HEADER=FIELD", value_parser = map)]
    maps: Vec<(String, String)>,
    /// Check the file, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Make a text field for each header that is unknown
    #[arg(long)]
    create_fields: bool,
    /// On whose behalf: what the change feed shows as the actor
    #[arg(long, value_name = "NAME", default_value = "import")]
    actor: String,
    /// Where refused rows are told of [default: beside FILE, as NAME.refused.csv]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What `--map` says. The last `=` counts: a header may hold one, a name can't.
fn map(text: &str) -> Result<(String, String), String> {
    let (header, name) = text.rsplit_once('=').ok_or("say it as \"header=field\"")?;
    Ok((header.trim().to_owned(), name.trim().to_owned()))
}

pub(super) async fn run(environment: &Environment, arguments: &Arguments) -> Result<(), CliError> {
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    let input = (arguments.file != Path::new("-")).then_some(&*arguments.file);
    let (source, size) = open(input).map_err(|error| unreadable(&arguments.file, &error))?;
    let mut rows = Rows::new(source);
    let header = header(&mut rows, &arguments.file)?;
    let mut report = Report::create(arguments.report.as_deref(), input)?;
    let written = write(&repository, arguments, &header, rows, size, &mut report).await;
    let refused = report.rows();
    let path = report.finish();
    written?;
    match path {
        Some(path) if refused > 0 => {
            let rows = if refused == 1 { "1 row was".to_owned() } else { format!("{refused} rows were") };
            Err(CliError::Other(format!("{rows} refused: see {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Writes what the rows ask for, and tells what has been done, however it ends.
async fn write(
    repository: &Repository,
    arguments: &Arguments,
    header: &[String],
    rows: Rows<Box<dyn Read + Send>>,
    size: Option<u64>,
    report: &mut Report,
) -> Result<(), CliError> {
    let naming = Naming {
        maps: arguments.maps.clone(),
        property: arguments.property.clone(),
        create_fields: arguments.create_fields,
    };
    let columns = columns(repository, arguments, header, &naming).await?;
    let columns = Arc::new(ArcSwap::from_pointee(columns));
    let (account, dry_run) = (arguments.account, arguments.dry_run);
    let actor: Arc<str> = arguments.actor.as_str().into();
    let reading = Reading::start(rows, Arc::clone(&columns));
    let preparing = Preparing { repository, reading, account, actor: Arc::clone(&actor), dry_run, outlook: None };
    let mut writing = Writing {
        repository,
        account,
        actor,
        dry_run,
        header,
        naming: &naming,
        columns: &columns,
        progress: Progress::start(size),
        report,
        done: writing::Done::default(),
    };
    // What is under way when the signal comes is committed as a whole or not at all.
    let written = tokio::select! {
        written = writing.write_all(preparing) => written,
        () = stop::told_to_stop() => Err(CliError::Other(
            "stopped: run it again to do the rest, what is done already counts as unchanged then".to_owned()
        )),
    };
    let told = writing.summarise();
    written.and(told)
}

/// The input, and its size where it has one.
fn open(input: Option<&Path>) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    let Some(path) = input else { return Ok((Box::new(io::stdin()), None)) };
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((Box::new(file), Some(metadata.len()).filter(|_| metadata.is_file())))
}

fn unreadable(file: &Path, error: &io::Error) -> CliError {
    CliError::Other(format!("could not read {}: {error}", file.display()))
}

fn header<R: Read>(rows: &mut Rows<R>, file: &Path) -> Result<Vec<String>, CliError> {
    let row = rows.next().map_err(|error| unreadable(file, &error))?;
    let row = row.ok_or_else(|| CliError::Other(format!("{} is empty: it needs a header", file.display())))?;
    let cells = row.cells().ok_or_else(|| {
        CliError::Other(format!("the header of {} is not UTF-8: save the file as \"CSV UTF-8\"", file.display()))
    })?;
    Ok(cells.map(str::to_owned).collect())
}

/// What the columns of a header mean. Makes the fields that are yet to be made, unless it is only tried.
async fn columns(
    repository: &Repository,
    arguments: &Arguments,
    header: &[String],
    naming: &Naming,
) -> Result<Columns, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Other(format!("could not prepare the fields: {error}"));
    let account = arguments.account;
    let registry = repository.registry(account).await.map_err(|error| failed(&error))?;
    let columns = Columns::read(header, naming, &registry).map_err(|error| CliError::Other(error.to_string()))?;
    if !columns.left_out().is_empty() {
        eprintln!("left out, for the system sets them: {}", columns.left_out().join(", "));
    }
    if arguments.dry_run || columns.new_fields().is_empty() {
        return Ok(columns);
    }
    for new in columns.new_fields() {
        match repository.create_field(account, new, None).await {
            Ok(_) => eprintln!("made the field {} (text)", new.internal_name),
            // Someone else was faster: what it is shows when the header is read again.
            Err(FieldError::Duplicate) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    let registry = repository.reload_registry(account).await.map_err(|error| failed(&error))?;
    Columns::read(header, naming, &registry).map_err(|error| CliError::Other(error.to_string()))
}
