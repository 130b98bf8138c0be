//! The arguments of `contacts import`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use uuid::Uuid;

use crate::fields::Kind;
use crate::import_export::{AllowedWrites, ColumnChoice, DateFormat, MappingOptions, OnBadCell, RowRules, WithoutKey};

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArguments {
    /// CSV, .xlsx or vCard file. `-` reads standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Account id. Without DATABASE_URL, the default is the sample account of `contacts dev`
    #[arg(long, value_name = "UUID")]
    pub(super) account: Option<Uuid>,
    /// Unique fields that identify a contact: the first one that has a value in the row counts. Existing contacts are
    /// updated, others are created [default: external_id and email, if the file has these]
    #[arg(long = "match", value_name = "FIELD,…", value_delimiter = ',')]
    match_fields: Vec<String>,
    /// Map a column to a field: "E-mail=email", or "#3=email" for the third column. "Notes=" leaves out the column Notes.
    /// Can be repeated
    #[arg(long = "map", value_name = "HEADER=FIELD", value_parser = parse_map)]
    maps: Vec<ColumnChoice<String>>,
    /// Show what would be imported, and check every row, without saving anything
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Go on without asking
    #[arg(long)]
    pub(super) yes: bool,
    /// Create a field for each unknown column that has values. Its type is detected
    #[arg(long)]
    create_fields: bool,
    /// Type of a new field, for example "Member since=date". Can be repeated
    #[arg(long = "field-type", value_name = "HEADER=TYPE", value_parser = parse_field_type)]
    field_types: Vec<ColumnChoice<Kind>>,
    /// Form of the dates, for example dd/mm/yyyy or mm/dd/yyyy [default: detected]
    #[arg(long, value_name = "FORM", value_parser = parse_date_format)]
    date_format: Option<DateFormat>,
    /// Only create contacts. Rows of existing contacts are skipped
    #[arg(long, conflicts_with = "update_only")]
    create_only: bool,
    /// Only update contacts. Rows without an existing contact are skipped
    #[arg(long)]
    update_only: bool,
    /// Rows without a value of any match field: create new contacts, or refuse them
    #[arg(long, value_enum, default_value_t = WithoutKeyArgument::Create)]
    without_key: WithoutKeyArgument,
    /// Rows with a cell that is not valid: refuse the row, or skip the cell
    #[arg(long, value_enum, default_value_t = OnBadCellArgument::Refuse)]
    on_bad_cell: OnBadCellArgument,
    /// Actor that the change feed and the history record
    #[arg(long, value_name = "NAME", default_value = "import")]
    pub(super) actor: String,
    /// File for refused rows [default: NAME.refused.csv beside FILE]
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

/// The values of `--without-key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WithoutKeyArgument {
    Create,
    Refuse,
}

/// The values of `--on-bad-cell`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnBadCellArgument {
    Refuse,
    Skip,
}

impl ImportArguments {
    /// Returns the file, or `None` for standard input.
    pub(super) fn input(&self) -> Option<&Path> {
        (self.file != Path::new("-")).then_some(&*self.file)
    }

    /// Returns the options that control how the columns and rows are read.
    pub(super) fn mapping_options(&self) -> MappingOptions {
        MappingOptions {
            maps: self.maps.clone(),
            match_fields: self.match_fields.iter().map(|name| name.trim().to_owned()).collect(),
            create_fields: self.create_fields,
            field_types: self.field_types.clone(),
            date_format: self.date_format,
            row_rules: RowRules {
                writes: match (self.create_only, self.update_only) {
                    (true, _) => AllowedWrites::CreateOnly,
                    (false, true) => AllowedWrites::UpdateOnly,
                    (false, false) => AllowedWrites::All,
                },
                without_key: match self.without_key {
                    WithoutKeyArgument::Create => WithoutKey::Create,
                    WithoutKeyArgument::Refuse => WithoutKey::Refuse,
                },
                on_bad_cell: match self.on_bad_cell {
                    OnBadCellArgument::Refuse => OnBadCell::Refuse,
                    OnBadCellArgument::Skip => OnBadCell::Skip,
                },
            },
        }
    }
}

/// Parses `HEADER=CHOICE`. The last `=` separates the two: a header may contain `=`, a field name cannot.
fn split_choice(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('=').map(|(column, choice)| (column.trim(), choice.trim()))
}

fn parse_map(text: &str) -> Result<ColumnChoice<String>, String> {
    let (column, choice) = split_choice(text).ok_or("expected \"header=field\", for example \"E-mail=email\"")?;
    Ok(ColumnChoice { column: column.to_owned(), choice: choice.to_owned() })
}

fn parse_field_type(text: &str) -> Result<ColumnChoice<Kind>, String> {
    let (column, name) = split_choice(text).ok_or("expected \"header=type\", for example \"Member since=date\"")?;
    let types = || Kind::CUSTOM.iter().filter(|kind| !kind.has_options()).map(|kind| kind.as_str()).collect::<Vec<_>>();
    match Kind::custom_from_str(name) {
        Some(kind) if !kind.has_options() => Ok(ColumnChoice { column: column.to_owned(), choice: kind }),
        Some(_) => Err(format!("a {name} field needs options. Create it with POST /fields, and map the column to it")),
        None => Err(format!("no such type: {name}. Choose {}", types().join(", "))),
    }
}

fn parse_date_format(text: &str) -> Result<DateFormat, String> {
    DateFormat::parse(text).ok_or_else(|| "expected dd/mm/yyyy, mm/dd/yyyy or yyyy-mm-dd".to_owned())
}
