//! The binaries under test, and the measurements of requests to them.

use std::path::PathBuf;
use std::time::Duration;

use crate::client::load;
use crate::client::workload::{RequestBuilder, Workload};
use crate::cluster::BenchCluster;
use crate::data::DataSet;
use crate::options::Options;
use crate::pgbench;
use crate::report::{Measurement, RequestTable};
use crate::server::{self, BATCHED, ServerProcess};

/// A binary under test, with a database and a running service of its own.
pub struct Target {
    pub binary: PathBuf,
    /// `new` or `old`.
    pub name: &'static str,
    /// The name of the database.
    pub database: String,
    pub server: ServerProcess,
}

/// An operation to measure: a row of a table.
#[derive(Clone, Copy)]
pub struct Operation<'a> {
    pub name: &'a str,
    /// The name of the row that this row is compared with.
    pub reference: Option<&'a str>,
    pub workload: Workload,
    pub connections: usize,
    pub set: DataSet,
    pub time: Duration,
}

/// A running PostgreSQL with the main data set, and the binaries under test.
pub struct Bench {
    // The services stop before the cluster.
    /// The new binary, then, if there is one, the old binary.
    pub targets: Vec<Target>,
    pub cluster: BenchCluster,
    pub rounds: usize,
    pub time: Duration,
    /// The main data set, in the database of each target.
    pub main: DataSet,
    /// Texts of which an operation's name must contain one, unless there is none.
    operations: Vec<String>,
}

impl Bench {
    /// Starts PostgreSQL and the services, and fills the main data set.
    pub async fn start(options: &Options, main: DataSet) -> Self {
        let cluster = BenchCluster::start().await;
        let mut targets = vec![];
        let new = ("new", PathBuf::from(env!("CARGO_BIN_EXE_contacts")));
        for (name, binary) in [Some(new), options.against.clone().map(|path| ("old", path))].into_iter().flatten() {
            let database = format!("contacts_{name}");
            cluster.create_database(&database).await;
            let url = cluster.url(&database);
            server::migrate(&binary, &url);
            let server = ServerProcess::start(&binary, &url, BATCHED, cluster.folder()).await;
            targets.push(Target { binary, name, database, server });
        }
        let (rounds, time, operations) = (options.rounds, options.time, options.operations.clone());
        let bench = Self { targets, cluster, rounds, time, main, operations };
        bench.fill(main, vec![]).await;
        bench
    }

    /// Returns whether there is an old binary to compare with.
    pub fn is_comparison(&self) -> bool {
        self.targets.len() > 1
    }

    /// Inserts a data set into the database of each target, and then runs `statements`.
    pub async fn fill(&self, set: DataSet, statements: Vec<String>) {
        eprintln!("filling {} contacts in {} accounts", set.rows, set.accounts);
        for target in &self.targets {
            let all = set.fill_statements().into_iter().chain(statements.clone());
            let finish = ["VACUUM ANALYZE", "CHECKPOINT"].map(str::to_owned);
            self.cluster.execute(&target.database, all.chain(finish)).await;
        }
    }

    /// Returns the targets with their indexes, in the order of this round. Each binary is the first in half of the
    /// rounds.
    pub fn targets_of_round(&self, round: usize) -> Vec<(usize, &Target)> {
        let mut targets: Vec<_> = self.targets.iter().enumerate().collect();
        if round % 2 == 1 {
            targets.reverse();
        }
        targets
    }

    /// Returns whether the operation with this name is to be measured.
    pub fn is_selected(&self, name: &str) -> bool {
        self.operations.is_empty() || self.operations.iter().any(|text| name.contains(text))
    }

    /// Measures an operation with each binary, and records the results.
    pub async fn measure(&self, table: &mut RequestTable, round: usize, operation: Operation<'_>) {
        if !self.is_selected(operation.name) {
            return;
        }
        for (index, target) in self.targets_of_round(round) {
            let measurement = self.measure_target(target, &target.server, operation).await;
            table.record(operation.name, operation.reference, index, measurement);
        }
    }

    /// Measures an operation with a service of a target.
    pub async fn measure_target(
        &self,
        target: &Target,
        server: &ServerProcess,
        operation: Operation<'_>,
    ) -> Measurement {
        let Operation { name, workload, connections, set, time, .. } = operation;
        let builder = match supported_builder(server, workload, set).await {
            Ok(builder) => builder,
            Err(reason) if target.name == "old" => {
                eprintln!("the old binary does not support \"{name}\": {reason}");
                return Measurement::default();
            }
            Err(reason) => panic!("{name}: {reason}"),
        };
        let (before, database_before) = (server.cpu(), self.cluster.cpu());
        let (mut measurement, count) = load::run(server.address, builder, connections, time).await;
        let contacts = count as f64 * workload.contact_count() as f64;
        measurement.rate *= workload.contact_count() as f64;
        measurement.server_cpu = server.cpu().saturating_sub(before).as_secs_f64() * 1e6 / contacts;
        measurement.database_cpu = self.cluster.cpu().saturating_sub(database_before).as_secs_f64() * 1e6 / contacts;
        measurement.memory = server.peak_memory();
        measurement
    }

    /// Measures a script of pgbench with this many clients, on the main data set of the new binary.
    pub fn measure_pgbench(&self, script: &str, clients: usize) -> Measurement {
        pgbench::measure(&self.cluster, &self.targets[0].database, self.main, script, clients, self.time)
    }
}

/// Returns the requests of a workload after one of them has succeeded.
async fn supported_builder(server: &ServerProcess, workload: Workload, set: DataSet) -> Result<RequestBuilder, String> {
    let builder = RequestBuilder::new(server.address, workload, set).await?;
    let (request, expected) = builder.build();
    let mut connection = crate::client::connection::HttpConnection::open(server.address).await;
    connection.exchange(&request, &expected).await?;
    Ok(builder)
}
