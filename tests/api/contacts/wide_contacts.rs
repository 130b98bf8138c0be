//! Contacts with many custom fields: a request reads and writes only the custom fields that it needs
//! (`docs/api-reference.md#fields`).

use std::time::Duration;

use serde_json::{Map, Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{Account, FeedReader, Server};

const FIELDS: usize = 300;

fn field_name(number: usize) -> String {
    format!("field_{number}")
}

/// Creates an account with its own database and a contact with a value in each of [`FIELDS`] custom fields.
async fn account_with_wide_contact(database: &str) -> (Account, String) {
    let account = Account::on_server(&Server::with_own_postgresql_database(database));
    for number in 0..FIELDS {
        account.define(json!({"label": field_name(number), "type": "text", "unique": number < 2})).await;
    }
    let mut fields = Map::from_iter([("first_name".to_owned(), json!("Ada"))]);
    fields.extend((0..FIELDS).map(|number| (field_name(number), json!(format!("{number} is a value of this field")))));
    let id = account.create(Value::Object(fields)).await;
    (account, id)
}

/// Returns the ids of the out-of-line values of the table `contacts`. A value that is written again gets a new id.
async fn toast_ids(account: &Account) -> Vec<i64> {
    let mut database = account.database().await;
    let table = "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'contacts'::regclass";
    let table: String = sqlx::query_scalar(table).fetch_one(&mut database).await.unwrap();
    let ids = format!("SELECT DISTINCT chunk_id::bigint FROM {table} ORDER BY 1");
    sqlx::query_scalar(AssertSqlSafe(ids)).fetch_all(&mut database).await.unwrap()
}

/// Returns how many blocks of out-of-line values of the table `contacts` have been read so far. A connection of the
/// service reports its reads at the end of a transaction, once a second. All writes of an account use one connection.
async fn toast_reads(account: &Account, other: &str) -> i64 {
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    account.patch(other, json!({"last_name": Uuid::now_v7()})).await.expect(200);
    let reads = "SELECT coalesce(toast_blks_read + toast_blks_hit, 0)::bigint FROM pg_statio_user_tables \
                 WHERE relname = 'contacts'";
    sqlx::query_scalar(reads).fetch_one(&mut account.database().await).await.unwrap()
}

/// Returns the values of all custom fields of a contact.
async fn custom_values(account: &Account, id: &str) -> Vec<Value> {
    let names: Vec<_> = (0..FIELDS).map(field_name).collect();
    let contact = account.get(&format!("/contacts/{id}?properties={}", names.join(","))).await.expect(200).body;
    names.iter().map(|name| contact[name].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_of_a_system_field_does_not_write_the_custom_fields() {
    let (account, id) = account_with_wide_contact("wide_system").await;
    let stored = toast_ids(&account).await;
    assert_eq!(stored.len(), 1, "the custom fields are stored out of line");
    let patched = account.patch(&id, json!({"first_name": "Grace", "phone": "+1 555"})).await.expect(200);
    assert_eq!(patched.body["first_name"], "Grace");
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200);
    assert_eq!(toast_ids(&account).await, stored);
    // A change of a custom field writes them.
    account.patch(&id, json!({"field_7": "changed"})).await.expect(200);
    assert_ne!(toast_ids(&account).await, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_of_a_system_field_does_not_read_the_custom_fields() {
    let (account, id) = account_with_wide_contact("wide_reads").await;
    let other = account.create(json!({"first_name": "B"})).await;
    let before = toast_reads(&account, &other).await;
    for number in 1..20 {
        account.patch(&id, json!({"job_title": "x".repeat(number * 10)})).await.expect(200);
    }
    assert_eq!(toast_reads(&account, &other).await, before);
    account.patch(&id, json!({"field_7": "changed"})).await.expect(200);
    assert!(toast_reads(&account, &other).await > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_of_custom_fields_changes_only_these_fields() {
    let (account, id) = account_with_wide_contact("wide_custom").await;
    let mut expected = custom_values(&account, &id).await;
    let patch = json!({"field_5": "five", "field_6": null, "field_7": "", "field_8": expected[8]});
    let patched = account.patch(&format!("{id}?properties=field_5,field_6,field_9"), patch).await.expect(200);
    assert_eq!((&patched.body["field_5"], &patched.body["field_6"]), (&json!("five"), &json!(null)));
    assert_eq!(patched.body["field_9"], expected[9]);
    (expected[5], expected[6], expected[7]) = (json!("five"), json!(null), json!(null));
    assert_eq!(custom_values(&account, &id).await, expected);
    let entries = FeedReader::read_entire_feed(&account).await;
    let mut changed: Vec<_> = entries[1]["changed"].as_object().unwrap().keys().map(String::as_str).collect();
    changed.sort_unstable();
    assert_eq!(changed, ["field_5", "field_6", "field_7"]);

    // A change to equal values changes nothing, also of fields that the response does not contain.
    let same = account.patch(&id, json!({"field_5": "five", "field_6": null})).await.expect(200);
    assert_eq!(same.version_part(), patched.version_part());
    // More fields than are read one by one.
    let many: Map<_, _> = (20..60).map(|number| (field_name(number), json!("many"))).collect();
    account.patch(&id, Value::Object(many)).await.expect(200);
    expected[20..60].fill(json!("many"));
    assert_eq!(custom_values(&account, &id).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_one_batch_see_the_custom_fields_that_others_need() {
    let (account, id) = account_with_wide_contact("wide_batch").await;
    let mut expected = custom_values(&account, &id).await;
    let inputs = json!([
        {"id": id, "fields": {"last_name": "Lovelace"}},
        {"id": id, "fields": {"field_0": "unique", "field_30": null}},
        {"id": id, "fields": {"field_30": "again", "field_31": expected[31]}},
    ]);
    let batch = json!({"inputs": inputs, "properties": ["field_0", "field_40"]});
    let response = account.batch("update", batch).await.expect(200);
    assert_eq!(response.body["results"][0]["contact"]["field_40"], expected[40]);
    assert_eq!(response.body["results"][2]["contact"]["field_0"], "unique");
    (expected[0], expected[30]) = (json!("unique"), json!("again"));
    assert_eq!(custom_values(&account, &id).await, expected);

    // Archiving and restoring move the unique keys of custom fields that no request names.
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let other = account.create(json!({"first_name": "B", "field_1": expected[1]})).await;
    let restored = account.post(&format!("/contacts/{id}/restore"), json!({})).await;
    restored.expect_error(409, "duplicate_contact").expect_details(&[("field_1", "duplicate")]);
    account.post(&format!("/contacts/{other}/purge"), json!({})).await.expect(204);
    account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200);
    account.post("/contacts", json!({"fields": {"first_name": "C", "field_0": "unique"}})).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_searches_return_the_selected_custom_fields() {
    let (account, id) = account_with_wide_contact("wide_lists").await;
    let expected = custom_values(&account, &id).await;
    for properties in ["field_3", "field_3,field_4,field_5,field_6,field_7"] {
        let list = account.get(&format!("/contacts?properties={properties}")).await.expect(200).body;
        assert_eq!(list["data"][0]["field_3"], expected[3]);
        let names: Vec<_> = properties.split(',').collect();
        let search = json!({
            "filters": [{"property": "field_9", "operator": "eq", "value": expected[9]}],
            "sorts": ["-field_8"], "properties": names, "limit": 1,
        });
        let found = account.post("/contacts/search", search).await.expect(200).body;
        assert_eq!(found["data"][0]["field_3"], expected[3]);
        let read = json!({"inputs": [{"id": id}], "properties": names});
        let read = account.batch("read", read).await.expect(200).body;
        assert_eq!(read["results"][0]["contact"]["field_3"], expected[3]);
    }
}
