//! The options of the command line.

use std::time::Duration;

/// The options of a benchmark run.
pub struct Options {
    pub rows: u64,
    pub rounds: usize,
    pub time: Duration,
    pub is_quick: bool,
    /// The numbers of connections for PATCH.
    pub connections: Vec<usize>,
    pub is_scale: bool,
    pub is_import: bool,
}

impl Options {
    /// Reads the arguments of the process.
    pub fn from_arguments() -> Self {
        let arguments: Vec<_> = std::env::args().collect();
        let number = |name: &str, default: u64| {
            let index = arguments.iter().position(|argument| argument == name);
            index.and_then(|index| arguments.get(index + 1)?.parse().ok()).unwrap_or(default)
        };
        Self {
            rows: number("--rows", 1_000_000),
            rounds: usize::try_from(number("--rounds", 3)).unwrap(),
            time: Duration::from_secs(number("--seconds", 5)),
            connections: match number("--connections", 0) {
                0 => vec![1, 16, 64, 256],
                only => vec![usize::try_from(only).unwrap()],
            },
            is_quick: arguments.iter().any(|argument| argument == "--quick"),
            is_scale: arguments.iter().any(|argument| argument == "--scale"),
            is_import: arguments.iter().any(|argument| argument == "--import"),
        }
    }
}
