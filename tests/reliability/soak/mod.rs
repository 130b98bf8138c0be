//! Nothing grows in a long while: callers do a bit of everything at an even pace, while what the service and its database
//! take is looked at every second.

mod callers;
mod figures;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::process::Process;
use crate::support::{Account, OwnCluster};
use callers::{Callers, Latencies};
use figures::{Figures, POOL, Watch};

/// How long it lasts, unless `SOAK_SECONDS` says otherwise.
const SECONDS: u64 = 60;
/// How many lines of figures are printed: the first is warming up, what comes after the second must be like that one.
const PARTS: usize = 6;
/// How long the service may take to notice that its callers have gone.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute at least; .ci/run runs it"]
async fn nothing_grows_in_a_long_while() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let database = OwnCluster::new().await;
    if seconds < 600 {
        // Autovacuum looks once a minute: too seldom to be seen at work in this time.
        database.set("autovacuum_naptime = '2s'").await;
    }
    // That a statement is slow says that the machine is.
    let mut service = Process::new(database.url(), &[("RUST_LOG", "warn,sqlx=error")]);
    service.start();
    service.ready().await;
    let files_at_first = service.open_files();

    let account = Account::on(&database.server()).at_address(service.address());
    let latencies = Arc::new(Latencies::default());
    let callers = Callers::start(&account, &latencies).await;
    let mut watch = Watch::new(&service, PgConnection::connect(&database.url()).await.unwrap());
    println!("{}", Figures::HEADER);
    let mut parts = vec![];
    for _ in 0..PARTS {
        let end = Instant::now() + Duration::from_secs(seconds) / PARTS as u32;
        let figures = watch.until(end, &latencies).await;
        println!("{figures}");
        parts.push(figures);
    }
    callers.stop().await;
    for later in &parts[2..] {
        later.expect_no_more_than(&parts[1]);
    }
    parts[PARTS - 1].expect_tables_of(&parts[PARTS * 2 / 3]);
    // Each connection to its database is a file.
    expect_files(&service, files_at_first + usize::from(POOL)).await;
    assert_eq!(service.log(), "", "the log has warnings");
}

/// Checks that no more files than these stay open once its callers have gone.
async fn expect_files(service: &Process, most: usize) {
    let gone = Instant::now();
    while service.open_files() > most {
        assert!(gone.elapsed() < PATIENCE, "{} files stay open, of {most} at most", service.open_files());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
