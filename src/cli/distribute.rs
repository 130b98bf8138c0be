//! `contacts distribute`: distributes the tables over the nodes of a Citus cluster.

use std::fmt::Write as _;

use clap::Args;

use super::error::CliError;
use super::output::print;
use crate::config::{DatabaseSettings, Environment};
use crate::repository::{DistributedTables, Repository};

#[derive(Debug, Args)]
pub(super) struct DistributeArguments {
    /// The number of shards [default: 4 for each node that may have shards, and at least 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    shards: Option<u32>,
    /// Check that the tables are distributed, and change nothing
    #[arg(long, conflicts_with = "shards")]
    check: bool,
}

pub(super) async fn run(environment: &Environment, arguments: DistributeArguments) -> Result<(), CliError> {
    let repository = Repository::new(&DatabaseSettings::read(environment)?)?;
    let distributed = if arguments.check {
        repository.distributed_tables().await
    } else {
        repository.distribute_tables(arguments.shards).await
    };
    print(&report(&distributed.map_err(|error| CliError::Other(error.to_string()))?))
}

fn report(distributed: &DistributedTables) -> String {
    let mut report = format!("The tables are distributed over {} shards.\n\n", distributed.shards);
    let _ = writeln!(report, "{:<40} {:>6} {:>12}", "node", "shards", "MB");
    for node in &distributed.nodes {
        let _ = writeln!(report, "{:<40} {:>6} {:>12}", node.address, node.shards, node.bytes / 1_000_000);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::NodeTables;

    #[test]
    fn report_has_a_row_for_each_node() {
        let node = |port: u16, bytes| NodeTables { address: format!("worker:{port}"), shards: 4, bytes };
        let tables = DistributedTables { shards: 8, nodes: vec![node(5601, 1_234_567), node(5602, 0)] };
        let report = report(&tables);
        let rows: Vec<Vec<_>> = report.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[2], ["node", "shards", "MB"]);
        assert_eq!(rows[3], ["worker:5601", "4", "1"]);
        assert_eq!(rows[4], ["worker:5602", "4", "0"]);
    }
}
