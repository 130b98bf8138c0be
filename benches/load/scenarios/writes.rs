//! Upserts, creations and writes with an `Idempotency-Key`.

use super::{PATCH, print_progress};
use crate::bench::{Bench, Operation};
use crate::client::workload::Workload;
use crate::report::RequestTable;

/// Prints how fast the writes are, and writes with an `Idempotency-Key` compared with the same writes without.
pub async fn print_table(bench: &Bench) {
    let mut table = RequestTable::new("Writes", PATCH, "ratio to the same without");
    let (post, batch) = ("POST with an email, 64", "batch/update of one contact, 64");
    for round in 0..bench.rounds {
        print_progress("writes", round, bench.rounds);
        for (name, reference, workload) in [
            (PATCH, None, Workload::Patch),
            ("PATCH with an Idempotency-Key, 64", Some(PATCH), Workload::PatchWithKey),
            ("PUT by external id that updates, 64", None, Workload::UpsertExisting),
            ("PUT by external id that creates, 64", None, Workload::UpsertNew),
            (post, None, Workload::Post),
            ("POST with an email and an Idempotency-Key, 64", Some(post), Workload::PostWithKey),
            ("POST with an email and an external id, 64", Some(post), Workload::PostTwoUnique),
            (batch, None, Workload::SmallBatch),
            ("batch/update of one contact with an Idempotency-Key, 64", Some(batch), Workload::SmallBatchWithKey),
        ] {
            let operation = Operation { name, reference, workload, connections: 64, set: bench.main, time: bench.time };
            bench.measure(&mut table, round, operation).await;
        }
    }
    table.print(bench.is_comparison());
}
