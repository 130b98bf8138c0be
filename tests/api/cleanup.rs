//! The clean-up goes on when something in it fails.

use std::time::Duration;

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::support::{Account, Server};

/// Returns two accounts, in the order of their ids.
fn accounts(server: &Server) -> (Account, Account) {
    let mut accounts = [Account::on_server(server), Account::on_server(server)];
    accounts.sort_by_key(|account| account.id);
    let [first, second] = accounts;
    (first, second)
}

async fn deleted_fields(database: &mut PgConnection, account: &Account) -> i64 {
    let count = "SELECT count(*) FROM fields WHERE account_id = $1 AND deleted_at IS NOT NULL";
    sqlx::query_scalar(count).bind(account.id).fetch_one(database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_field_that_cannot_be_cleaned_up_does_not_keep_the_others() {
    let server = Server::with_own_postgresql_database("cleanup_failure");
    let (failing, other) = accounts(&server);
    let mut database = failing.database().await;
    for account in [&failing, &other] {
        account.define(json!({"label": "Size", "type": "number"})).await;
        account.create(json!({"first_name": "Ada", "size": 38})).await;
        account.delete("/fields/size").await.expect(204);
    }
    let reject = format!(
        "CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'rejected'; END $$; \
         CREATE TRIGGER reject BEFORE UPDATE ON contacts FOR EACH ROW WHEN (OLD.account_id = '{}') EXECUTE FUNCTION reject(); \
         UPDATE fields SET deleted_at = deleted_at - interval '1 hour'",
        failing.id
    );
    database.execute(sqlx::raw_sql(AssertSqlSafe(reject))).await.unwrap();
    let mut attempts = 0;
    while deleted_fields(&mut database, &other).await > 0 {
        attempts += 1;
        assert!(attempts < 100, "the field of the other account is not cleaned up");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(deleted_fields(&mut database, &failing).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_that_cannot_be_read_does_not_keep_the_others_from_being_refreshed() {
    let server = Server::with_own_postgresql_database("unreadable_registry");
    let (broken, other) = accounts(&server);
    let instance = server.second_instance();
    for account in [&broken, &other] {
        account.define(json!({"label": "Size", "type": "number"})).await;
        // The other instance has the registry in its cache.
        account.on_instance(&instance).get("/contacts?properties=size").await.expect(200);
    }
    let break_registry = format!(
        "UPDATE fields SET options = '7' WHERE account_id = '{0}'; \
         UPDATE accounts SET registry_version = registry_version + 1 WHERE account_id = '{0}'",
        broken.id
    );
    broken.database().await.execute(sqlx::raw_sql(AssertSqlSafe(break_registry))).await.unwrap();
    other.define(json!({"label": "Color", "type": "text"})).await;
    let mut attempts = 0;
    while other.on_instance(&instance).get("/contacts?properties=color").await.status != 200 {
        attempts += 1;
        assert!(attempts < 50, "the registry of the other account is not refreshed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// An option is removed while contacts get it: either the removal fails, or no contact has the option.
#[tokio::test(flavor = "multi_thread")]
async fn option_that_a_contact_gets_during_its_removal_stays() {
    let account = Account::new().await;
    let options = |names: &[&str]| names.iter().map(|name| json!({"label": name})).collect::<Vec<_>>();
    account.define(json!({"label": "One", "type": "dropdown", "options": options(&["red", "blue"])})).await;
    account.define(json!({"label": "Many", "type": "multi_select", "options": options(&["red", "blue"])})).await;
    for round in 0..20 {
        let (field, value) = if round % 2 == 0 { ("one", json!("red")) } else { ("many", json!(["red"])) };
        let id = account.create(json!({"first_name": format!("{round}")})).await;
        let remove = account.call("PATCH", &format!("/fields/{field}")).json(&json!({"options": options(&["blue"])}));
        let (removed, written) = tokio::join!(remove.send(), account.patch(&id, json!({field: value})));
        let read = account.get(&format!("/contacts/{id}?properties={field}")).await.expect(200).body;
        match (removed.status, written.status) {
            (200, 400) => assert!(read[field].is_null(), "{read}"),
            (409, 200) => {
                removed.expect_error(409, "option_in_use");
                assert_eq!(read[field], value);
            }
            statuses => panic!("{statuses:?}"),
        }
        account.patch(&id, json!({field: null})).await.expect(200);
        let restore = account.call("PATCH", &format!("/fields/{field}"));
        restore.json(&json!({"options": options(&["red", "blue"])})).send().await.expect(200);
    }
}
