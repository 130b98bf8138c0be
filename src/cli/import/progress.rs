//! The progress of an import on standard error: a progress bar on a terminal, else a line every few seconds.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plan::count_rows;
use crate::cli::output::group_digits;

/// The minimum time between two progress lines if there is no terminal.
const PRINT_INTERVAL: Duration = Duration::from_secs(5);

/// Counts the imported rows and shows the progress.
pub(super) struct ImportProgress {
    /// `None` if standard error is not a terminal.
    bar: Option<ProgressBar>,
    /// The size of the input in bytes, if it is known.
    size: Option<u64>,
    started: Instant,
    last_line: Instant,
    rows: u64,
}

impl ImportProgress {
    /// Starts showing the progress. `size` is the size of the input in bytes, if it is known.
    pub(super) fn start(size: Option<u64>) -> Self {
        let now = Instant::now();
        Self { bar: stderr().is_terminal().then(|| progress_bar(size)), size, started: now, last_line: now, rows: 0 }
    }

    /// Adds imported rows. `offset` is the number of bytes of the input that are imported now.
    pub(super) fn advance(&mut self, rows: u64, offset: u64) {
        self.rows += rows;
        let message = format!("{}, {} rows/s", count_rows(self.rows), group_digits(self.rate()));
        if let Some(bar) = &self.bar {
            bar.set_position(offset);
            bar.set_message(message);
        } else if self.last_line.elapsed() >= PRINT_INTERVAL {
            self.last_line = Instant::now();
            match self.size {
                Some(size) => eprintln!("{message}, {} %", offset * 100 / size.max(1)),
                None => eprintln!("{message}"),
            }
        }
    }

    /// Prints a line above the progress bar.
    pub(super) fn print_line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Returns the average number of rows a second since the start.
    fn rate(&self) -> u64 {
        // The cast drops the fraction.
        (self.rows as f64 / self.started.elapsed().as_secs_f64().max(1e-6)) as u64
    }

    /// Removes the progress bar, and prints the number of rows and the speed.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let (rows, seconds, rate) = (count_rows(self.rows), self.started.elapsed().as_secs_f64(), self.rate());
        eprintln!("{rows} in {seconds:.1} s ({} rows/s)", group_digits(rate));
    }
}

fn progress_bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{wide_bar} {percent} %  {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // The templates are constants. If one were invalid, the default style would be used.
    ProgressStyle::with_template(template).map_or(bar.clone(), |style| bar.with_style(style))
}
