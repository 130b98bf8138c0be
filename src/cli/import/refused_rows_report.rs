//! The report: a CSV file with the refused rows themselves, and the reason and line of each. It can be mended and imported.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::tally::ReportedRow;
use crate::cli::error::CliError;
use crate::import_export::{REPORT_HEADERS, is_report};

/// An open report.
pub(super) struct RefusedRowsReport {
    /// The file. `None`: standard error, because the file cannot be written.
    path: Option<PathBuf>,
    /// Whether the user named the file with `--report`.
    is_requested: bool,
    /// Where the report of an earlier import is now. Somebody may have mended its rows.
    earlier: Option<PathBuf>,
    writer: csv::Writer<Box<dyn Write + Send>>,
    /// The names of the columns, until they are written.
    header: Option<Vec<String>>,
    /// The number of columns of the imported file that the report has.
    columns: usize,
    /// The number of columns of the imported file.
    file_columns: usize,
    rows: u64,
}

impl RefusedRowsReport {
    /// Creates a report at `path`.
    ///
    /// Without a path, the report is beside the input (`people.csv` → `people.refused.csv`), or in the working
    /// directory for standard input. Where no file can be created, as in a container with a read-only folder, it is standard error.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or if it is the input file.
    pub(super) fn create(path: Option<&Path>, input: Option<&Path>, header: &[String]) -> Result<Self, CliError> {
        let is_requested = path.is_some();
        let path = path.map_or_else(|| default_path(input), Path::to_owned);
        if input.is_some_and(|input| is_same_file(input, &path)) {
            return Err(CliError::Other("--report must not be the imported file: choose another file".to_owned()));
        }
        let earlier = if is_requested { None } else { move_earlier(&path) };
        let (path, output): (_, Box<dyn Write + Send>) = match File::create(&path) {
            Ok(file) => (Some(path), Box::new(file)),
            Err(error) if !is_requested => {
                eprintln!("Refused rows will be printed here, because {} cannot be written: {error}", path.display());
                (None, Box::new(io::stderr()))
            }
            Err(error) => return Err(failure(Some(&path), &error, ". Choose another file with --report FILE")),
        };
        let columns = if is_report(header) { header.len() - REPORT_HEADERS.len() } else { header.len() };
        let names = header[..columns].iter().map(String::as_str).chain(REPORT_HEADERS).map(str::to_owned);
        Ok(Self {
            path,
            is_requested,
            earlier,
            writer: csv::WriterBuilder::new().flexible(true).from_writer(output),
            header: Some(names.collect()),
            columns,
            file_columns: header.len(),
            rows: 0,
        })
    }

    /// Adds rows and flushes them to the file.
    pub(super) fn add(&mut self, rows: &[ReportedRow]) -> Result<(), CliError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.rows += rows.len() as u64;
        self.write(rows).map_err(|error| failure(self.path.as_deref(), &error, ""))
    }

    fn write(&mut self, rows: &[ReportedRow]) -> io::Result<()> {
        if let Some(header) = self.header.take() {
            self.writer.write_record(header)?;
        }
        for row in rows {
            let cell = |index: usize| row.cells.get(index).map_or("", String::as_str);
            let line = row.line.to_string();
            let cells = (0..self.columns).map(cell).chain([&*row.reason.reason, &*line]);
            // The cells of a row that is longer than the header come last, so that the others stay in their columns. The row
            // of a report has the old reason and line there, which are dropped.
            let extra = row.cells.iter().skip(self.file_columns).map(String::as_str);
            self.writer.write_record(cells.chain(extra))?;
        }
        self.writer.flush()
    }

    /// Closes the report and says where it is. Removes an empty report that the user did not request.
    ///
    /// # Errors
    /// Fails if the header of an empty report cannot be written.
    pub(super) fn finish(mut self) -> Result<Option<String>, CliError> {
        if self.rows == 0 && !self.is_requested {
            // If the file cannot be removed, an empty report remains, which does no harm.
            let _ = match (self.path, self.earlier) {
                (Some(path), Some(earlier)) => fs::rename(earlier, path),
                (Some(path), None) => fs::remove_file(path),
                (None, _) => Ok(()),
            };
            return Ok(None);
        }
        if let Some(earlier) = &self.earlier {
            eprintln!("The report of an earlier import is now {}", earlier.display());
        }
        self.write(&[]).map_err(|error| failure(self.path.as_deref(), &error, ""))?;
        Ok(Some(self.path.map_or("the rows above".to_owned(), |path| path.display().to_string())))
    }
}

fn failure(path: Option<&Path>, error: &io::Error, advice: &str) -> CliError {
    let path = path.unwrap_or(Path::new("on standard error"));
    CliError::Other(format!("could not write the report {}: {error}{advice}", path.display()))
}

/// Renames the report of an earlier import, so that it is not overwritten: `people.refused.1.csv`. Returns its new path.
fn move_earlier(path: &Path) -> Option<PathBuf> {
    if !path.is_file() {
        return None;
    }
    let free = (1..).map(|number| path.with_extension(format!("{number}.csv"))).find(|path| !path.exists())?;
    fs::rename(path, &free).ok().map(|()| free)
}

fn default_path(input: Option<&Path>) -> PathBuf {
    let Some(input) = input else { return PathBuf::from("import.refused.csv") };
    let stem = input.file_stem().unwrap_or_default().to_string_lossy();
    input.with_file_name(format!("{stem}.refused.csv"))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    inode(one).is_some_and(|inode_of_one| inode(other) == Some(inode_of_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_report_is_beside_the_input() {
        for (input, report) in [
            (Some("data/people.csv"), "data/people.refused.csv"),
            (Some("people"), "people.refused.csv"),
            (Some("a.b.csv"), "a.b.refused.csv"),
            (None, "import.refused.csv"),
        ] {
            assert_eq!(default_path(input.map(Path::new)), Path::new(report));
        }
    }
}
