//! The report of rejected rows: a CSV file with the line, code and message of each rejected row.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::error::CliError;
use crate::import_export::RejectedRow;

/// An open report.
pub(super) struct RejectedRowsReport {
    path: PathBuf,
    /// Whether the user named the file with `--report`.
    is_requested: bool,
    writer: csv::Writer<File>,
    rows: u64,
}

impl RejectedRowsReport {
    /// Creates a report at `path`.
    ///
    /// Without a path, the report is beside the input (`people.csv` → `people.refused.csv`), or in the working
    /// directory for standard input.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or if it is the input file.
    pub(super) fn create(path: Option<&Path>, input: Option<&Path>) -> Result<Self, CliError> {
        let is_requested = path.is_some();
        let path = path.map_or_else(|| default_path(input), Path::to_owned);
        if input.is_some_and(|input| is_same_file(input, &path)) {
            return Err(CliError::Other("--report must not be the imported file: choose another file".to_owned()));
        }
        let failed = |error: io::Error| {
            CliError::Other(format!(
                "could not write the report {}: {error}. Choose another file with --report FILE",
                path.display()
            ))
        };
        let mut writer = csv::Writer::from_writer(File::create(&path).map_err(failed)?);
        writer.write_record(["line", "code", "message"]).map_err(|error| failed(error.into()))?;
        writer.flush().map_err(failed)?;
        Ok(Self { path, is_requested, writer, rows: 0 })
    }

    /// Adds rejected rows and flushes them to the file.
    pub(super) fn add(&mut self, rejected_rows: &[(u64, RejectedRow)]) -> Result<(), CliError> {
        let mut write_rows = || -> io::Result<()> {
            for (line, rejected) in rejected_rows {
                self.writer.write_record([&*line.to_string(), rejected.code, &*rejected.message])?;
            }
            self.writer.flush()
        };
        if !rejected_rows.is_empty() {
            write_rows().map_err(|error| {
                CliError::Other(format!("could not write the report {}: {error}", self.path.display()))
            })?;
            self.rows += rejected_rows.len() as u64;
        }
        Ok(())
    }

    /// Returns the number of rejected rows.
    pub(super) fn row_count(&self) -> u64 {
        self.rows
    }

    /// Closes the report and returns its path. Removes an empty report that the user did not request.
    pub(super) fn finish(self) -> Option<PathBuf> {
        if self.rows == 0 && !self.is_requested {
            // If the file cannot be removed, an empty report remains, which does no harm.
            let _ = fs::remove_file(&self.path);
            return None;
        }
        Some(self.path)
    }
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
