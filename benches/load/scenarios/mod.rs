//! The scenarios. Each has a file of its own and prints its table.

mod custom_fields;
mod empty_database;
mod import;
mod instances;
mod long_polls;
mod open_snapshot;
mod purge;
mod requests;
mod scale;
mod search;
mod storage;
mod writes;

use crate::bench::Bench;
use crate::data::DataSet;
use crate::options::{Options, Scenario};

/// The name of the row with the plain PATCH.
const PATCH: &str = "PATCH, 64";

/// The indexes of the data sets.
mod set_index {
    pub(super) const MAIN: u64 = 0;
    /// Contacts whose unique keys change.
    pub(super) const CHANGING_KEYS: u64 = 1;
    /// Contacts with long histories.
    pub(super) const HISTORIES: u64 = 2;
    /// Accounts with long polls.
    pub(super) const POLLERS: u64 = 3;
    /// Contacts of one account.
    pub(super) const ONE_ACCOUNT: u64 = 4;
    /// An account with many contacts.
    pub(super) const LARGE_ACCOUNT: u64 = 5;
    /// The accounts beside it.
    pub(super) const SMALL_ACCOUNTS: u64 = 6;
    /// The first of the sets with custom fields.
    pub(super) const CUSTOM_FIELDS: u64 = 10;
}

/// Runs the scenarios of the options, one after another.
pub async fn run_all(options: &Options) {
    match options.scenarios[..] {
        [Scenario::Scale] => return scale::print_table(options).await,
        [Scenario::Import] => return import::print_table(options).await,
        _ => {}
    }
    // The scenario has data sets of its own.
    let rows = if options.scenarios == [Scenario::Search] { 1_000 } else { options.rows };
    let bench = Bench::start(options, DataSet::narrow(set_index::MAIN, rows, 100)).await;
    for scenario in &options.scenarios {
        match scenario {
            Scenario::Requests => requests::print_table(&bench, options).await,
            Scenario::Writes => writes::print_table(&bench).await,
            Scenario::EmptyDatabase => empty_database::print_table(&bench).await,
            Scenario::CustomFields => custom_fields::print_table(&bench).await,
            Scenario::LongPolls => long_polls::print_table(&bench).await,
            Scenario::Purge => purge::print_table(&bench).await,
            Scenario::Instances => instances::print_table(&bench).await,
            Scenario::Storage => storage::print_table(&bench).await,
            Scenario::OpenSnapshot => open_snapshot::print_table(&bench).await,
            Scenario::Search => search::print_table(&bench, options).await,
            Scenario::Scale | Scenario::Import => unreachable!("handled above"),
        }
    }
}

/// Prints the progress of a scenario.
fn print_progress(scenario: &str, round: usize, rounds: usize) {
    eprintln!("{scenario}: round {} of {rounds}", round + 1);
}
