//! The options of the command line.

use std::path::PathBuf;
use std::time::Duration;

/// A group of measurements with a table of its own.
#[derive(Clone, Copy, PartialEq)]
pub enum Scenario {
    /// The operations of the API, and pgbench.
    Requests,
    /// Upserts, creations and other writes with and without an `Idempotency-Key`.
    Writes,
    /// The first contacts in an empty database that the planner has no statistics of.
    EmptyDatabase,
    /// Contacts with up to 500 filled custom fields.
    CustomFields,
    /// Many long polls that wait, with and without writes of other accounts.
    LongPolls,
    /// The purge of a contact with a long history, beside other writers.
    Purge,
    /// Two instances that write to the same accounts.
    Instances,
    /// The disk space, the WAL and the clean-up. Not part of the default run.
    Storage,
    /// Writes while a snapshot is held open. Not part of the default run.
    OpenSnapshot,
    /// How the cost of a PATCH grows with the data. Not part of the default run.
    Scale,
    /// `contacts import`. Not part of the default run.
    Import,
    /// Searches of an account with many contacts. Not part of the default run.
    Search,
}

impl Scenario {
    const ALL: [(&str, Self); 12] = [
        ("requests", Self::Requests),
        ("writes", Self::Writes),
        ("empty-database", Self::EmptyDatabase),
        ("custom-fields", Self::CustomFields),
        ("long-polls", Self::LongPolls),
        ("purge", Self::Purge),
        ("instances", Self::Instances),
        ("storage", Self::Storage),
        ("open-snapshot", Self::OpenSnapshot),
        ("scale", Self::Scale),
        ("import", Self::Import),
        ("search", Self::Search),
    ];
    const DEFAULT: [Self; 7] = [
        Self::Requests,
        Self::Writes,
        Self::EmptyDatabase,
        Self::CustomFields,
        Self::LongPolls,
        Self::Purge,
        Self::Instances,
    ];

    fn from_name(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|(candidate, _)| *candidate == name);
        let names = || Self::ALL.map(|(name, _)| name).join(", ");
        found.unwrap_or_else(|| panic!("--only takes one of: {}", names())).1
    }
}

/// The options of a benchmark run.
pub struct Options {
    /// The number of contacts in the main data set.
    pub rows: u64,
    pub rounds: usize,
    pub time: Duration,
    pub is_quick: bool,
    /// The numbers of connections for PATCH.
    pub connections: Vec<usize>,
    /// The scenarios to run.
    pub scenarios: Vec<Scenario>,
    /// Only operations whose name contains one of these texts are measured. Empty: all.
    pub operations: Vec<String>,
    /// The path of another `contacts` binary to compare with.
    pub against: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments of the process.
    pub fn from_arguments() -> Self {
        let arguments: Vec<_> = std::env::args().collect();
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let value = |name: &str| {
            let index = arguments.iter().position(|argument| argument == name)?;
            Some(arguments.get(index + 1).unwrap_or_else(|| panic!("{name} needs a value")).as_str())
        };
        let number = |name: &str, default: u64| {
            value(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} needs a number")))
        };
        let is_quick = has("--quick");
        Self {
            rows: number("--rows", 1_000_000),
            rounds: usize::try_from(number("--rounds", 3)).unwrap(),
            time: Duration::from_secs(number("--seconds", 3)),
            connections: match number("--connections", 0) {
                0 => vec![1, 16, 64, 256],
                only => vec![usize::try_from(only).unwrap()],
            },
            is_quick,
            scenarios: match value("--only") {
                Some(name) => vec![Scenario::from_name(name)],
                None if has("--scale") => vec![Scenario::Scale],
                None if has("--import") => vec![Scenario::Import],
                None if is_quick => vec![Scenario::Requests],
                None => Scenario::DEFAULT.to_vec(),
            },
            operations: value("--operations")
                .map(|names| names.split('|').map(str::to_owned).collect())
                .unwrap_or_default(),
            against: value("--against")
                .map(|path| PathBuf::from(path).canonicalize().unwrap_or_else(|error| panic!("{path}: {error}"))),
        }
    }
}
