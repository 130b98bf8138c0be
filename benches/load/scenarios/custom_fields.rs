//! Contacts with many filled custom fields.

use super::{print_progress, set_index};
use crate::bench::{Bench, Operation};
use crate::client::workload::Workload;
use crate::data::DataSet;
use crate::report::RequestTable;

/// The numbers of filled custom fields. A document of 500 values has 14 kB.
const WIDTHS: [u64; 5] = [0, 20, 50, 100, 500];
const PATCH_NARROW: &str = "PATCH of first_name, 64, 0 fields";

/// Prints how fast operations are with each number of custom fields, compared with none.
pub async fn print_table(bench: &Bench) {
    let mut table = RequestTable::new("Filled custom fields", PATCH_NARROW, "ratio to 0 fields");
    let mut sets = vec![];
    for (width, index) in WIDTHS.into_iter().zip(set_index::CUSTOM_FIELDS..) {
        let (rows, accounts) = (5_000, 20);
        let set = DataSet { fields: width, filled_fields: width, ..DataSet::narrow(index, rows, accounts) };
        bench.fill(set, set.feed_statements()).await;
        sets.push(set);
    }
    for round in 0..bench.rounds {
        print_progress("custom-fields", round, bench.rounds);
        for (name, workload, connections) in [
            ("PATCH of first_name", Workload::Patch, 64),
            ("GET by id", Workload::Get, 64),
            ("PATCH of a custom field", Workload::PatchCustom, 64),
            ("list of 100", Workload::List, 64),
            ("search, its first page of 100", Workload::Search, 16),
            ("change feed, 100 entries", Workload::Feed, 64),
        ] {
            for set in &sets {
                measure(bench, &mut table, round, (name, workload, connections), *set).await;
            }
        }
    }
    table.print(bench.is_comparison());
}

/// Measures an operation on a set. Its reference is the same operation without custom fields.
async fn measure(
    bench: &Bench,
    table: &mut RequestTable,
    round: usize,
    (name, workload, connections): (&str, Workload, usize),
    set: DataSet,
) {
    let row = |fields: u64| format!("{name}, {connections}, {fields} fields");
    let is_custom = workload == Workload::PatchCustom;
    if is_custom && set.fields == 0 {
        return;
    }
    let reference = if is_custom { PATCH_NARROW.to_owned() } else { row(0) };
    let operation = Operation {
        name: &row(set.fields),
        reference: Some(&reference),
        workload,
        connections,
        set,
        time: bench.time / 2,
    };
    bench.measure(table, round, operation).await;
}
