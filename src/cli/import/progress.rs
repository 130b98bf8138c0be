//! How far an import is: a bar on a terminal, a line now and then anywhere else. On standard error.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is shown of an import under way.
pub(super) struct Progress {
    /// None where there is no terminal.
    bar: Option<ProgressBar>,
    /// Of the input in bytes, where it is known.
    size: Option<u64>,
    started: Instant,
    last_line: Instant,
    rows: u64,
}

impl Progress {
    /// Begins to show the progress through an input of this many bytes.
    pub(super) fn start(size: Option<u64>) -> Self {
        let now = Instant::now();
        Self { bar: stderr().is_terminal().then(|| bar(size)), size, started: now, last_line: now, rows: 0 }
    }

    /// So many rows more are done, and so many bytes in all.
    pub(super) fn advance(&mut self, rows: u64, consumed: u64) {
        self.rows += rows;
        let message = format!("{} rows, {} rows/s", self.rows, self.rate());
        if let Some(bar) = &self.bar {
            bar.set_position(consumed);
            bar.set_message(message);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            match self.size {
                Some(size) => eprintln!("{message}, {} %", consumed * 100 / size.max(1)),
                None => eprintln!("{message}"),
            }
        }
    }

    /// Writes a line for people, beside the bar.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// How many rows are done.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Rows a second, since the start.
    pub(super) fn rate(&self) -> u64 {
        // Whole rows are exact enough.
        (self.rows as f64 / self.elapsed().as_secs_f64().max(1e-6)) as u64
    }

    /// Clears the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{wide_bar} {percent} %  {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // The template is our own: one that is malformed only shows another bar.
    ProgressStyle::with_template(template).map_or(bar.clone(), |style| bar.with_style(style))
}
