//! The clock of a machine is wrong: what has expired is decided by the clock of the database.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::service_process::ServiceProcess;
use crate::support::{Account, DedicatedCluster, Stopwatch};

/// The library that changes the clock of a process (Debian's package `faketime`).
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];
/// The time after which an instance cleans up for the first time, and a margin.
const CLEANUP_TIME: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread")]
async fn instance_whose_clock_is_40_days_ahead_deletes_nothing() {
    let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("SKIPPED: libfaketime is not installed (apt-get install faketime)");
        return;
    };
    let database = DedicatedCluster::new().await;
    let account = Account::on_server(&database.server());
    let create = || {
        let call = account.call("POST", "/contacts").header("Idempotency-Key", "once");
        call.json(&json!({"fields": {"first_name": "Ada"}})).send()
    };
    let created = create().await.expect(201).body;
    let id = created["id"].as_str().unwrap().to_owned();
    for number in 0..3 {
        account.patch(&id, json!({"first_name": format!("{number}")})).await.expect(200);
    }
    let feed = account.get("/contacts/changes").await.expect(200).body;

    let settings = [("LD_PRELOAD", library), ("FAKETIME", "+40d"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let mut ahead = ServiceProcess::new(database.url(), &settings);
    ahead.start();
    ahead.wait_until_ready().await;
    let started = Stopwatch::start();
    while started.elapsed() < CLEANUP_TIME {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(ahead.log().contains("the clocks of this machine and of the database differ"), "{}", ahead.log());
    assert_eq!(account.get("/contacts/changes").await.expect(200).body, feed);
    let history = account.get(&format!("/contacts/{id}/history")).await.expect(200).body;
    assert_eq!(history["data"].as_array().unwrap().len(), 4);
    assert_eq!(create().await.expect(201).body["id"], created["id"]);
}
