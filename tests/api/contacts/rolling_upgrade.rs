//! Instances of a build before migration 4 write beside this build. They keep the position of an account's last change in
//! the row of the account. Here statements of the test write as they do.

use std::collections::HashMap;

use serde_json::json;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::support::{Account, FeedReader, Server, run_concurrently};

/// The statement of an older build that changes a job title. It takes the next position from the row of the account, and
/// changes nothing if the account is locked or has another position.
const OLD_WRITE: &str = "WITH advanced AS (UPDATE accounts a SET last_position = f.last_position + 1 \
     FROM (SELECT account_id, last_position FROM accounts WHERE account_id = $1 AND last_position = $2 \
     FOR NO KEY UPDATE SKIP LOCKED) f WHERE a.account_id = f.account_id RETURNING a.last_position), \
     stored AS (UPDATE contacts c SET job_title = $4, version = c.version + 1, position = v.last_position, \
     updated_at = now() FROM advanced v WHERE c.account_id = $1 AND c.id = $3 AND c.version = $5 RETURNING c.position) \
     INSERT INTO changes SELECT $1, position, $3, $6, 'updated', NULL, now(), \
     json_build_object('13', json_build_array($7::text, $4)) FROM stored";

/// Changes the contact as an older build does, until that has succeeded.
async fn write_as_older_build(database: &mut PgConnection, account: Uuid, contact: Uuid, job_title: &str) {
    loop {
        let (version, position, before): (i64, i64, Option<String>) =
            sqlx::query_as("SELECT version, position, job_title FROM contacts WHERE account_id = $1 AND id = $2")
                .bind(account)
                .bind(contact)
                .fetch_one(&mut *database)
                .await
                .unwrap();
        let last: i64 = sqlx::query_scalar("SELECT last_position FROM accounts WHERE account_id = $1")
            .bind(account)
            .fetch_one(&mut *database)
            .await
            .unwrap();
        let write = sqlx::query(OLD_WRITE).bind(account).bind(last).bind(contact).bind(job_title);
        let write = write.bind(version).bind(position).bind(before).execute(&mut *database).await;
        match write {
            Ok(written) if written.rows_affected() == 1 => return,
            Ok(_) => {}
            // An older build replies 503 when the entry of the feed exists already.
            Err(error) => assert_eq!(error.as_database_error().unwrap().code().unwrap(), "23505", "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_builds_and_this_one_write_to_the_same_account_without_lost_writes() {
    const WRITES: usize = 60;
    let server = Server::with_own_postgresql_database("rolling_upgrade");
    let account = Account::on_server(&server);
    let in_use = "UPDATE _sqlx_migrations SET installed_on = installed_on - interval '1 day' WHERE version < 4";
    sqlx::raw_sql(in_use).execute(&mut account.database().await).await.unwrap();
    // An instance reads at its first write whether older builds may run.
    let account = account.on_instance(&server.second_instance());
    let contact = account.create(json!({"first_name": "A"})).await;
    let other = account.create(json!({"first_name": "B"})).await;
    let old_writes = {
        let (account, contact) = (account.clone(), contact.clone());
        async move {
            let mut database = PgConnection::connect(&account.server.database_url).await.unwrap();
            for turn in 0..WRITES {
                let job_title = format!("old {turn}");
                write_as_older_build(&mut database, account.id, contact.parse().unwrap(), &job_title).await;
            }
        }
    };
    let new_writes = (0..4).map(|client| {
        let (account, ids) = (account.clone(), [contact.clone(), other.clone()]);
        async move {
            for turn in 0..WRITES {
                let fields = json!({"last_name": format!("{client} {turn}")});
                account.patch(&ids[turn % 2], fields).await.expect(200);
                if turn % 10 == 0 {
                    account.create(json!({"first_name": "C", "external_id": format!("{client} {turn}")})).await;
                }
            }
        }
    });
    tokio::join!(old_writes, run_concurrently(new_writes));

    let feed = FeedReader::read_entire_feed(&account).await;
    let mut versions: HashMap<&str, i64> = HashMap::new();
    for entry in &feed {
        *versions.entry(entry["contact_id"].as_str().unwrap()).or_default() += 1;
    }
    // Each change of a contact is one version, and one entry of the feed.
    let expected = [i64::try_from(1 + WRITES + 2 * WRITES).unwrap(), i64::try_from(1 + 2 * WRITES).unwrap()];
    for (id, expected) in [&contact, &other].into_iter().zip(expected) {
        let stored = account.get(&format!("/contacts/{id}?properties=version")).await.expect(200).body;
        assert_eq!((&stored["version"], versions[&**id]), (&json!(expected), expected));
    }
    let of_older_build =
        feed.iter().filter_map(|entry| entry["changed"]["job_title"]["new"].as_str()).collect::<Vec<_>>();
    assert_eq!(of_older_build, (0..WRITES).map(|turn| format!("old {turn}")).collect::<Vec<_>>());
    let positions: (i64, i64) = sqlx::query_as(
        "SELECT last_position, (SELECT max(position) FROM changes WHERE account_id = $1) FROM accounts WHERE account_id = $1",
    )
    .bind(account.id)
    .fetch_one(&mut account.database().await)
    .await
    .unwrap();
    assert_eq!(positions.0, positions.1, "the row of the account has another position than the feed");
}
