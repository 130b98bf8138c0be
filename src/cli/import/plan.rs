//! The plan of an import, which is shown before anything is written.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use super::open_table::OpenTable;
use super::printable::{MAX_SHOWN, printable, printable_up_to};
use crate::cli::confirmation::ask;
use crate::cli::error::CliError;
use crate::cli::output::group_digits;
use crate::import_export::{AllowedWrites, ColumnDescription, ColumnMapping, MappingOptions, TableSample, WithoutKey};

/// The maximum number of characters of a value that identifies contacts.
const MAX_KEY: usize = 100;
/// The maximum number of names in a list of columns.
const MAX_NAMES: usize = 12;

/// Describes what an import does with a file.
pub(super) fn describe_import(
    name: &str,
    table: &OpenTable,
    columns: &ColumnMapping,
    options: &MappingOptions,
) -> String {
    let mut text = format!("{name}: {}", table.format);
    let header = table.header_line.map_or(String::new(), |line| format!(", header in line {line}"));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{header}, {}", describe_rows(table));
    let mut left_out = String::new();
    let (mut read_only, mut empty) = (vec![], vec![]);
    let width = table.header.iter().map(|header| printable(header).chars().count()).max().unwrap_or(0).min(MAX_SHOWN);
    // All vCards have the same columns, whether a card uses them or not.
    let hides_empty = table.header_line.is_none() && table.sample.is_complete;
    for (index, header) in table.header.iter().enumerate() {
        let shown = if header.trim().is_empty() { format!("#{}", index + 1) } else { printable(header.trim()) };
        let values = table.sample.first_values(index);
        match columns.describe(index, &table.header, &table.sample) {
            _ if hides_empty && values.is_empty() => {}
            ColumnDescription::Imported(target) | ColumnDescription::Created(target) => {
                let _ = writeln!(text, "  {shown:width$} → {target}  {}", show_values(&table.sample, index));
            }
            ColumnDescription::ReadOnly => read_only.push(shown),
            ColumnDescription::Ignored => {}
            ColumnDescription::LeftOut(_) if values.is_empty() && header.trim().is_empty() => {}
            ColumnDescription::LeftOut(_) if values.is_empty() && table.sample.is_complete => empty.push(shown),
            ColumnDescription::LeftOut(reason) => {
                let _ = writeln!(left_out, "  {shown}: {reason}");
            }
        }
    }
    if !left_out.is_empty() {
        let hint =
            if options.create_fields { "" } else { " (use --map \"HEADER=FIELD\", or --create-fields for new fields)" };
        let _ = write!(text, "Left out{hint}:\n{left_out}");
    }
    if !read_only.is_empty() {
        let _ = writeln!(text, "Skipped read-only columns: {}", read_only.join(", "));
    }
    if !empty.is_empty() {
        let _ = writeln!(text, "Left out without values: {}", list_names(&empty));
    }
    text = text + &describe_rules(columns, options) + "\n";
    if let Some((field, value)) = columns.shared_key(&table.sample) {
        let value = printable_up_to(MAX_KEY, value);
        let _ = writeln!(
            text,
            "Warning: rows with different names have the same {field}, such as {value}. {}.",
            match options.row_rules.writes {
                AllowedWrites::CreateOnly => "Only the first of them is imported",
                _ => "They change one contact, and the last row sets its name",
            }
        );
    }
    text
}

/// Returns the number of rows, exact if the sample has all of them.
fn describe_rows(table: &OpenTable) -> String {
    let rows = count_rows(table.sample.rows as u64);
    if table.sample.is_complete { rows } else { format!("more than {rows}") }
}

/// Returns a number of rows for people.
pub(super) fn count_rows(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{} rows", group_digits(rows)) }
}

/// Returns how contacts are identified.
fn describe_rules(columns: &ColumnMapping, options: &MappingOptions) -> String {
    let names = columns.match_field_names();
    let rules = options.row_rules;
    let without_key = match (rules.without_key, rules.writes) {
        (WithoutKey::Refuse, _) => "are refused",
        (WithoutKey::Create, AllowedWrites::UpdateOnly) => "are skipped",
        (WithoutKey::Create, _) => "become new contacts",
    };
    let mut text = match &names[..] {
        [] => format!("No column identifies contacts: all rows {without_key}."),
        [name] => format!("Contacts are matched by {name}. Rows without it {without_key}."),
        names => {
            format!("Contacts are matched by {}. Rows without any of them {without_key}.", names.join(", else by "))
        }
    };
    text += match rules.writes {
        AllowedWrites::All => "",
        AllowedWrites::CreateOnly => " Rows of existing contacts are skipped.",
        AllowedWrites::UpdateOnly => " Rows without an existing contact are skipped.",
    };
    text
}

fn show_values(sample: &TableSample, index: usize) -> String {
    let values: Vec<_> = sample.first_values(index).into_iter().map(printable).collect();
    if values.is_empty() { "(no values)".to_owned() } else { values.join(" | ") }
}

/// Returns a list of names, shortened if it is long.
fn list_names(names: &[String]) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let shown = names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Asks on the terminal whether to go on. Returns true without asking if standard input is not a terminal.
pub(super) fn confirm() -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    let answer = ask("Import these rows? [y/N]")?;
    Ok(["y", "yes"].contains(&&*answer.to_lowercase()))
}
