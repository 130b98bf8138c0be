//! How the cost of a PATCH grows with the data.

use super::set_index;
use crate::bench::{Bench, Operation};
use crate::client::workload::Workload;
use crate::data::DataSet;
use crate::options::Options;
use crate::pgbench;
use crate::report::RequestTable;

/// Prints how fast a PATCH is with more rows, accounts and fields, at 64 connections.
pub async fn print_table(options: &Options) {
    let size_name =
        |rows: u64, accounts: u64, fields: u64| format!("{rows} rows, {accounts} accounts, {fields} fields");
    let mut table = RequestTable::new("Growth", "", "ratio to pgbench UPDATE");
    for (rows, accounts, fields) in
        [(10_000, 100, 10), (1_000_000, 100, 10), (1_000_000, 100, 500), (1_000_000, 1, 10), (10_000_000, 100, 10)]
    {
        let set = DataSet { fields, has_unique_keys: false, ..DataSet::narrow(set_index::MAIN, rows, accounts) };
        let bench = Bench::start(options, set).await;
        let size = size_name(rows, accounts, fields);
        let (baseline, name) = (format!("pgbench UPDATE, {size}"), format!("PATCH of a custom field, {size}"));
        for round in 0..bench.rounds {
            table.record(&baseline, None, 0, bench.measure_pgbench(pgbench::UPDATE, 64));
            let operation = Operation {
                name: &name,
                reference: Some(&baseline),
                workload: Workload::PatchCustom,
                connections: 64,
                set,
                time: bench.time,
            };
            bench.measure(&mut table, round, operation).await;
        }
    }
    table.print(options.against.is_some());
}
