//! The report of refused rows: a CSV file with the line, the code and the message of each.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::transfer::Refusal;

/// A report that is being written.
pub(super) struct Report {
    path: PathBuf,
    is_asked_for: bool,
    writer: csv::Writer<File>,
    rows: u64,
}

impl Report {
    /// Makes a report at `path`; without one, beside the input (`people.csv` → `people.refused.csv`), or for standard
    /// input in the working folder.
    ///
    /// # Errors
    /// It can't be written, or it is the input itself.
    pub(super) fn create(path: Option<&Path>, input: Option<&Path>) -> Result<Self, CliError> {
        let is_asked_for = path.is_some();
        let path = path.map_or_else(|| beside(input), Path::to_owned);
        if input.is_some_and(|input| is_same(input, &path)) {
            return Err(CliError::Other("--report names the file that is to be imported".to_owned()));
        }
        let failed = |error: io::Error| {
            CliError::Other(format!("could not write the report {}: {error}; say --report FILE", path.display()))
        };
        let mut writer = csv::Writer::from_writer(File::create(&path).map_err(failed)?);
        writer.write_record(["line", "code", "message"]).map_err(|error| failed(error.into()))?;
        writer.flush().map_err(failed)?;
        Ok(Self { path, is_asked_for, writer, rows: 0 })
    }

    /// Adds refused rows. They are in the file when this returns.
    pub(super) fn add(&mut self, refused: &[(u64, Refusal)]) -> Result<(), CliError> {
        let mut write = || -> io::Result<()> {
            for (line, refusal) in refused {
                self.writer.write_record([&*line.to_string(), refusal.code, &*refusal.message])?;
            }
            self.writer.flush()
        };
        if !refused.is_empty() {
            write().map_err(|error| {
                CliError::Other(format!("could not write the report {}: {error}", self.path.display()))
            })?;
            self.rows += refused.len() as u64;
        }
        Ok(())
    }

    /// How many rows it tells of.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Where it is. An empty one that no one has asked for is cleared away.
    pub(super) fn finish(self) -> Option<PathBuf> {
        if self.rows == 0 && !self.is_asked_for {
            // One that stays is empty, and so does no harm.
            let _ = fs::remove_file(&self.path);
            return None;
        }
        Some(self.path)
    }
}

fn beside(input: Option<&Path>) -> PathBuf {
    let Some(input) = input else { return PathBuf::from("import.refused.csv") };
    let stem = input.file_stem().unwrap_or_default().to_string_lossy();
    input.with_file_name(format!("{stem}.refused.csv"))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    place(one).is_some_and(|of_one| place(other) == Some(of_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_beside_the_input() {
        for (input, report) in [
            (Some("data/people.csv"), "data/people.refused.csv"),
            (Some("people"), "people.refused.csv"),
            (Some("a.b.csv"), "a.b.refused.csv"),
            (None, "import.refused.csv"),
        ] {
            assert_eq!(beside(input.map(Path::new)), Path::new(report));
        }
    }
}
