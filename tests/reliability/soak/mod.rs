//! A long run under constant load. The resource usage of the service and its database is sampled every second and must
//! not grow.

mod clients;
mod resource_usage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::service_process::ServiceProcess;
use crate::support::{Account, DedicatedCluster};
use clients::{Latencies, SoakClients};
use resource_usage::{POOL_SIZE, ResourceUsage, UsageMonitor};

/// The duration without `SOAK_SECONDS`.
const SECONDS: u64 = 60;
/// The number of parts of the run. The first is the warm-up. Each part after the second is compared with the second.
const PARTS: usize = 6;
/// The longest time until the service has closed the connections of clients that have disconnected.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute at least; .ci/run runs it"]
async fn constant_load_does_not_grow_memory_tables_connections_or_open_files() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let database = DedicatedCluster::new().await;
    if seconds < 600 {
        // Autovacuum runs once a minute by default, which is too rare for a short run.
        database.alter_system("autovacuum_naptime = '2s'").await;
    }
    // Without sqlx warnings: a slow statement only shows that the machine is slow.
    let mut service = ServiceProcess::new(database.url(), &[("RUST_LOG", "warn,sqlx=error")]);
    service.start();
    service.wait_until_ready().await;
    let initial_files = service.open_files();

    let account = Account::on_server(&database.server()).on_address(service.address());
    let latencies = Arc::new(Latencies::default());
    let clients = SoakClients::start(&account, &latencies).await;
    let mut monitor = UsageMonitor::new(&service, PgConnection::connect(&database.url()).await.unwrap());
    println!("{}", ResourceUsage::HEADER);
    let mut parts = vec![];
    for _ in 0..PARTS {
        let end = Instant::now() + Duration::from_secs(seconds) / PARTS as u32;
        let usage = monitor.measure_until(end, &latencies).await;
        println!("{usage}");
        parts.push(usage);
    }
    clients.stop().await;
    for later in &parts[2..] {
        later.expect_no_growth_since(&parts[1]);
    }
    parts[PARTS - 1].expect_stable_tables_since(&parts[PARTS * 2 / 3]);
    // Each database connection is an open file.
    expect_open_files_at_most(&service, initial_files + usize::from(POOL_SIZE)).await;
    assert_eq!(service.log(), "", "the log contains warnings");
}

/// Waits until the service has at most this number of files open, after its clients have disconnected.
async fn expect_open_files_at_most(service: &ServiceProcess, limit: usize) {
    let started = Instant::now();
    while service.open_files() > limit {
        assert!(
            started.elapsed() < CLOSE_TIMEOUT,
            "{} files are still open, the limit is {limit}",
            service.open_files()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
