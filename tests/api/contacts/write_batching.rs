//! Write batching: single writes that the service commits in one transaction stay independent.
//!
//! A conflict or a locked row affects only the write that meets it. `write_batching_equivalence.rs` checks that the
//! responses equal the responses to one write at a time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::support::{Account, ApiResponse, Server, run_concurrently};

#[tokio::test(flavor = "multi_thread")]
async fn conflict_fails_only_its_own_write() {
    let account = Account::new().await;
    account.create(json!({"external_id": "taken", "first_name": "T"})).await;
    let mut ids = vec![];
    for index in 0..40 {
        ids.push(account.create(json!({"first_name": format!("{index}")})).await);
    }
    for round in 0..5 {
        let calls = ids.clone().into_iter().enumerate().map(|(index, id)| {
            let account = account.clone();
            async move {
                let fields = if index % 4 == 0 {
                    json!({"external_id": "taken"})
                } else {
                    json!({"job_title": format!("{round}")})
                };
                (index, account.patch(&format!("{id}?properties=job_title"), fields).await)
            }
        });
        for (index, response) in run_concurrently(calls).await {
            if index % 4 == 0 {
                response.expect_error(409, "duplicate_contact");
            } else {
                assert_eq!(response.expect(200).body["job_title"], format!("{round}"));
            }
        }
    }
}

/// Sends updates of these contacts and creations, each over all instances, at the same time. Expects that all succeed. Returns
/// the ids of the new contacts.
async fn write_concurrently(accounts: &[Account], ids: &[String], round: usize) -> Vec<String> {
    let accounts = || accounts.iter().cloned();
    let updates = ids.iter().flat_map(|id| accounts().map(|account| (account, id.clone())));
    let updates = updates.map(async |(account, id)| {
        let fields = json!({"job_title": Uuid::new_v4().to_string()});
        account.patch(&id, fields).await.expect(200)
    });
    let updates = updates.collect::<Vec<_>>();
    let creations = (0..10).flat_map(|index| accounts().map(move |account| (account, index)));
    let creations = creations.map(async |(account, index)| {
        let external_id = format!("{round}-{index}-{}", account.server.address);
        account
            .post("/contacts", json!({"fields": {"external_id": external_id, "first_name": "A"}}))
            .await
            .expect(201)
            .id()
    });
    let creations = creations.collect::<Vec<_>>();
    tokio::join!(futures_util::future::join_all(updates), futures_util::future::join_all(creations)).1
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_succeed_with_any_number_of_database_connections() {
    let server = Server::with_own_database("few_connections", |_| {});
    for connections in [2, 3, 4, 9] {
        let account = Account::on_server(&server.with_connections(connections));
        let mut ids = vec![];
        for index in 0..10 {
            ids.push(account.create(json!({"first_name": format!("{index}")})).await);
        }
        for round in 0..5 {
            write_concurrently(std::slice::from_ref(&account), &ids, round).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_write_the_same_contacts_without_errors_and_times_are_not_ahead_of_the_clock() {
    let server = Server::with_own_database("same_contacts", |_| {});
    let account = Account::on_server(&server);
    let instances = [&server.second_instance(), &server.second_instance()].map(|other| account.on_instance(other));
    let accounts = [account.clone(), instances[0].clone(), instances[1].clone()];
    let mut ids = vec![];
    for index in 0..5 {
        ids.push(account.create(json!({"first_name": format!("{index}")})).await);
    }
    let mut newest_id = String::new();
    for round in 0..20 {
        let mut created = write_concurrently(&accounts, &ids, round).await;
        created.sort_unstable();
        assert!(newest_id < created[0], "an id is not in the order of creation");
        newest_id = created.pop().unwrap();
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        for id in &ids {
            let contact = account.get(&format!("/contacts/{id}?properties=version")).await.expect(200).body;
            assert!(contact["updated_at"].as_str().unwrap() <= now.as_str(), "{contact} at {now}");
            assert_eq!(contact["version"], 1 + 3 * (round + 1));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_row_delays_only_its_own_write() {
    let account = Account::new().await;
    let locked = account.create(json!({"first_name": "locked"})).await;
    let unlocked = account.create(json!({"first_name": "unlocked"})).await;
    let mut database = account.lock_contact(&locked).await;
    let waiting = tokio::spawn({
        let (account, locked) = (account.clone(), locked.clone());
        async move { account.patch(&locked, json!({"first_name": "B"})).await }
    });
    for turn in 0..20 {
        account.patch(&unlocked, json!({"first_name": format!("{turn}")})).await.expect(200);
    }
    assert!(!waiting.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    assert_eq!(waiting.await.unwrap().expect(200).body["first_name"], "B");
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_waits_for_a_row_lock_keeps_the_other_change() {
    // Another transaction changes the row while the write waits for its lock. The write must apply to the changed row.
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for turn in 0..5 {
        let mut database = account.database().await;
        let change =
            format!("BEGIN; UPDATE contacts SET last_name = 'L{turn}', version = version + 1 WHERE id = '{id}'");
        sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut database).await.unwrap();
        let waiting = tokio::spawn({
            let (account, id) = (account.clone(), id.clone());
            async move { account.patch(&id, json!({"first_name": format!("B{turn}")})).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
        let response = waiting.await.unwrap().expect(200);
        assert_eq!(
            (&response.body["first_name"], &response.body["last_name"]),
            (&json!(format!("B{turn}")), &json!(format!("L{turn}")))
        );
    }
}

/// Sends two updates of a contact in one request.
async fn update_twice(account: &Account, contact: &str, first: Value, second: Value) -> ApiResponse {
    let inputs = json!([{"id": contact, "fields": first}, {"id": contact, "fields": second}]);
    account.post("/contacts/batch/update", json!({"inputs": inputs})).await
}

/// Waits until this number of transactions wait for a lock in the database of the connection, which must not be in a
/// transaction: there it would see no change.
async fn wait_for_lock_waits(database: &mut PgConnection, expected: i64) {
    let has_citus = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')";
    let has_citus = sqlx::query_scalar(has_citus).fetch_one(&mut *database).await.unwrap();
    // On Citus, the transactions wait on the nodes of their shards.
    let sessions = if has_citus { "citus_stat_activity" } else { "pg_stat_activity" };
    let count =
        format!("SELECT count(*) FROM {sessions} WHERE wait_event_type = 'Lock' AND datname = current_database()");
    let deadline = Instant::now() + Duration::from_secs(60);
    let count = || sqlx::query_scalar::<_, i64>(AssertSqlSafe(count.clone()));
    while count().fetch_one(&mut *database).await.unwrap() < expected {
        assert!(Instant::now() < deadline, "fewer than {expected} transactions wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Two instances, a session that holds the lock of the account, and a session that watches the waits for it.
struct LockedAccount {
    account: Account,
    other: Account,
    lock_holder: PgConnection,
    watcher: PgConnection,
}

impl LockedAccount {
    async fn new(database: &str) -> Self {
        let server = Server::with_own_database(database, |_| {});
        let account = Account::on_server(&server);
        let other = account.on_instance(&server.second_instance());
        let (lock_holder, watcher) = (account.database().await, account.database().await);
        Self { account, other, lock_holder, watcher }
    }

    async fn lock(&mut self) {
        let lock = format!("BEGIN; SELECT 1 FROM accounts WHERE account_id = '{}' FOR UPDATE", self.account.id);
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut self.lock_holder).await.unwrap();
    }

    /// Sends two requests that wait for the lock, and releases it. The first one is stored before the second one, which was
    /// applied before that.
    async fn send_in_turn(
        &mut self,
        first: impl Future<Output = ApiResponse> + Send + 'static,
        second: impl Future<Output = ApiResponse> + Send + 'static,
    ) -> (ApiResponse, ApiResponse) {
        self.lock().await;
        let first = tokio::spawn(first);
        wait_for_lock_waits(&mut self.watcher, 1).await;
        let second = tokio::spawn(second);
        wait_for_lock_waits(&mut self.watcher, 2).await;
        sqlx::raw_sql("COMMIT").execute(&mut self.lock_holder).await.unwrap();
        (first.await.unwrap(), second.await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_a_request_claims_and_releases_must_be_free_until_it_is_stored() {
    let mut locked = LockedAccount::new("claimed_key").await;
    let (account, other) = (locked.account.clone(), locked.other.clone());
    let holder = account.create(json!({"first_name": "holder"})).await;
    let contact = account.create(json!({"first_name": "contact"})).await;
    let claim =
        async move { update_twice(&other, &holder, json!({"external_id": "k"}), json!({"job_title": "A"})).await };
    let claim_and_release = async move {
        update_twice(&account, &contact, json!({"external_id": "k"}), json!({"external_id": null})).await
    };
    let (claimed, rejected) = locked.send_in_turn(claim, claim_and_release).await;
    assert_eq!(claimed.expect(200).body["summary"]["succeeded"], 2);
    let results = rejected.expect(207).body["results"].clone();
    assert_eq!(results[0]["error"]["code"], "duplicate_contact", "{results}");
}

#[tokio::test(flavor = "multi_thread")]
async fn response_is_not_stored_if_another_instance_has_purged_its_contact() {
    let mut locked = LockedAccount::new("purged_contact").await;
    let (account, other) = (locked.account.clone(), locked.other.clone());
    let also = account.create(json!({"first_name": "B"})).await;
    for changes_another in [false, true] {
        let contact = account.create(json!({"first_name": "A"})).await;
        let unchanged = json!({"id": contact, "fields": {"first_name": "A"}});
        let second =
            if changes_another { json!({"id": also, "fields": {"job_title": "J"}}) } else { unchanged.clone() };
        let body = json!({"inputs": [unchanged, second]});
        let update =
            || account.call("POST", "/contacts/batch/update").header("idempotency-key", &contact).json(&body).send();
        let purge = {
            let (other, path) = (other.clone(), format!("/contacts/{contact}/purge"));
            async move { other.post(&path, json!({})).await }
        };
        let (purged, updated) = locked.send_in_turn(purge, update()).await;
        purged.expect(204);
        for response in [updated, update().await] {
            assert_eq!(response.expect(207).body["results"][0]["error"]["code"], "not_found");
        }
    }
}
