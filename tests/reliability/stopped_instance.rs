//! An instance is stopped (SIGSTOP) in the middle of its writes, as by a debugger, a paused container or a machine without
//! memory. The other instance must not wait for its locks.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::service_process::ServiceProcess;
use crate::support::{Account, DedicatedCluster, Stopwatch, run_concurrently};

const ROUNDS: u32 = 6;
/// The longest time that a write of an account may take to which the stopped instance was writing: its transaction is ended
/// after one second.
const MAX_SAME_ACCOUNT: Duration = Duration::from_millis(2_000 + 500);
/// The longest time that a write of another account may take.
const MAX_OTHER_ACCOUNT: Duration = Duration::from_millis(500);

/// Sends requests with several writes, which are transactions of several statements, and single writes, until the instance
/// stops, and until it has answered all of them. Returns how many have succeeded.
async fn write_until(account: Account, contacts: Vec<String>, mut stop: tokio::sync::watch::Receiver<bool>) -> usize {
    let mut succeeded = 0;
    for turn in 0.. {
        if *stop.borrow_and_update() {
            break;
        }
        let fields = json!({"job_title": turn.to_string(), "external_id": format!("{} {turn}", contacts[0])});
        let inputs: Vec<_> =
            contacts.iter().map(|id| json!({"id": id, "fields": {"job_title": turn.to_string()}})).collect();
        let response = match turn % 2 {
            0 => account.patch(&contacts[0], fields).await,
            _ => account.batch("update", json!({"inputs": inputs})).await,
        };
        // The database ends a transaction of the stopped instance, which then does not know the outcome.
        assert!([200, 207, 503].contains(&response.status), "{}", response.text);
        succeeded += usize::from(response.status == 200);
    }
    succeeded
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_instance_delays_no_other_account_and_its_own_accounts_for_two_seconds_at_most() {
    let database = DedicatedCluster::new().await;
    let mut stopped = ServiceProcess::new(database.url(), &[]);
    let mut other = ServiceProcess::new(database.url(), &[]);
    for service in [&mut stopped, &mut other] {
        service.start();
        service.wait_until_ready().await;
    }
    let shared = Account::on_server(&database.server()).on_address(stopped.address());
    let mut contacts = vec![];
    for index in 0..12 {
        contacts.push(shared.create(json!({"first_name": index.to_string()})).await);
    }
    let on_other = shared.on_address(other.address());
    let elsewhere = on_other.for_new_account();
    let elsewhere_contact = elsewhere.create(json!({"first_name": "A"})).await;
    for round in 0..ROUNDS {
        let (stop, is_stopped) = tokio::sync::watch::channel(false);
        let writers = contacts.chunks(3).map(|ids| write_until(shared.clone(), ids.to_vec(), is_stopped.clone()));
        let writers = tokio::spawn(join_all(writers.collect::<Vec<_>>()));
        // The instance stops at another moment of its transactions in each round.
        tokio::time::sleep(Duration::from_millis(200) + Duration::from_micros(700) * round).await;
        stopped.pause();
        let started = Stopwatch::start();
        elsewhere.patch(&elsewhere_contact, json!({"first_name": round.to_string()})).await.expect(200);
        let took = started.elapsed();
        assert!(took < MAX_OTHER_ACCOUNT, "a write of another account took {took:?}");
        let writes = contacts.clone().into_iter().map(|id| {
            let account = on_other.clone();
            async move {
                let started = Stopwatch::start();
                account.patch(&id, json!({"last_name": round.to_string()})).await.expect(200);
                started.elapsed()
            }
        });
        for took in run_concurrently(writes.collect::<Vec<_>>()).await {
            assert!(took < MAX_SAME_ACCOUNT, "a write of the same account took {took:?}");
        }
        stop.send(true).unwrap();
        stopped.resume();
        let succeeded: usize = writers.await.unwrap().into_iter().sum();
        assert!(succeeded > 0, "round {round}: nothing was written before the stop");
        shared.patch(&contacts[0], json!({"last_name": "resumed"})).await.expect(200);
    }
    assert!(!stopped.log().contains("panicked"), "{}", stopped.log());
}
