//! Two instances that write to the same accounts, compared with one instance.

use super::{print_progress, set_index};
use crate::bench::{Bench, Operation, Target};
use crate::client::workload::Workload;
use crate::data::DataSet;
use crate::report::FigureTable;
use crate::server::{BATCHED, ServerProcess};

/// The number of connections to one instance, and to two instances together.
const CONNECTIONS: usize = 64;
const CONTACTS_OF_ONE_ACCOUNT: u64 = 20_000;

/// Prints the throughput of PATCH with two instances, relative to one.
pub async fn print_table(bench: &Bench) {
    let one_account = DataSet::narrow(set_index::ONE_ACCOUNT, CONTACTS_OF_ONE_ACCOUNT, 1);
    bench.fill(one_account, vec![]).await;
    let mut table = FigureTable::new("Two instances");
    for round in 0..bench.rounds {
        print_progress("instances", round, bench.rounds);
        for (index, target) in bench.targets_of_round(round) {
            let url = bench.cluster.url(&target.database);
            let second = ServerProcess::start(&target.binary, &url, BATCHED, bench.cluster.folder()).await;
            for (name, set) in [
                ("PATCH of 100 accounts, 64: two instances ÷ one", bench.main),
                ("PATCH of one account, 64: two instances ÷ one", one_account),
            ] {
                let one = measure(bench, target, &target.server, set, CONNECTIONS).await;
                let two = tokio::join!(
                    measure(bench, target, &target.server, set, CONNECTIONS / 2),
                    measure(bench, target, &second, set, CONNECTIONS / 2),
                );
                table.record(name, 2, index, (two.0 + two.1) / one);
            }
        }
    }
    table.print(bench.is_comparison());
}

/// Returns the PATCH requests per second.
async fn measure(bench: &Bench, target: &Target, server: &ServerProcess, set: DataSet, connections: usize) -> f64 {
    let (name, workload, time) = ("PATCH", Workload::Patch, bench.time);
    let operation = Operation { name, reference: None, workload, connections, set, time };
    bench.measure_target(target, server, operation).await.rate
}
