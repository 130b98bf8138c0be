//! Batches of contacts that do not fit into the memory of one transaction (`docs/api-reference.md#batch`).

use std::time::Duration;

use serde_json::{Map, Value, json};
use sqlx::types::Uuid;

use super::{expect_summary, result_contact, result_statuses};
use crate::support::{Account, ApiResponse, FeedReader, Server, run_concurrently};

/// The number of custom text fields of the account.
const FIELDS: usize = 64;
/// The number of characters of each value.
const VALUE_LENGTH: usize = 4_000;
/// The number of contacts. Together they have 38 MB.
const CONTACTS: usize = 150;

/// An account with large contacts.
struct LargeContacts {
    account: Account,
    /// The ids of the contacts, in order of `external_id`: `e-1`, `e-2`, ….
    ids: Vec<Uuid>,
}

impl LargeContacts {
    async fn create(database: &str) -> Self {
        const INSERT: &str = "INSERT INTO contacts \
             (account_id, id, version, first_name, external_id, custom, created_at, updated_at) \
             SELECT $1, n.id, 1, 'Ada', 'e-' || n.number, (SELECT jsonb_object_agg(f.id, repeat('x', $3)) \
             FROM fields f WHERE f.account_id = $1), now(), now() \
             FROM unnest($2::uuid[]) WITH ORDINALITY AS n (id, number)";
        const INSERT_KEYS: &str = "INSERT INTO contact_keys \
             SELECT account_id, id, 6, external_id, true FROM contacts WHERE account_id = $1";
        // A debug build takes long for such contacts when other tests use the processors.
        let account = Account::on_server(&Server::with_time_limit(database, Duration::from_secs(60)));
        for number in 0..FIELDS {
            account.define(json!({"label": field_name(number), "type": "text"})).await;
        }
        // The ids are not in the order of the contacts.
        let ids: Vec<_> = (0..CONTACTS).map(|_| Uuid::new_v4()).collect();
        let mut database = account.database().await;
        let insert = sqlx::query(INSERT).bind(account.id).bind(&ids).bind(VALUE_LENGTH as i32);
        insert.execute(&mut database).await.unwrap();
        sqlx::query(INSERT_KEYS).bind(account.id).execute(&mut database).await.unwrap();
        Self { account, ids }
    }

    /// Returns the body of a batch with these inputs that returns all properties.
    fn body(inputs: impl IntoIterator<Item = Value>) -> Value {
        let properties: Vec<_> = (0..FIELDS).map(field_name).chain(["version".to_owned()]).collect();
        json!({"inputs": inputs.into_iter().collect::<Vec<_>>(), "properties": properties})
    }

    /// Returns the body of a batch that changes one field of each contact, by id.
    fn updates(&self) -> Value {
        Self::body(self.ids.iter().map(|id| json!({"id": id, "fields": {"first_name": "Bob", "note_3": "short"}})))
    }

    /// Returns the version and the first name of each contact.
    async fn versions_and_names(&self) -> Vec<(i64, String)> {
        let select = "SELECT c.version, c.first_name FROM unnest($2::uuid[]) WITH ORDINALITY AS n (id, number) \
                      JOIN contacts c ON c.account_id = $1 AND c.id = n.id ORDER BY n.number";
        let select = sqlx::query_as(select).bind(self.account.id).bind(&self.ids);
        select.fetch_all(&mut self.account.database().await).await.unwrap()
    }
}

fn field_name(number: usize) -> String {
    format!("note_{number}")
}

/// Checks that these results, in order, contain all properties, or the default properties only and
/// `"properties_omitted": true`. The first results have all properties. Returns their number.
fn expect_all_or_default_properties<'a>(results: impl Iterator<Item = &'a Value>) -> usize {
    let mut complete = 0;
    let mut has_omitted = false;
    for result in results {
        let contact = result["contact"].as_object().unwrap();
        has_omitted |= result.get("properties_omitted").is_some();
        if has_omitted {
            assert_eq!(result["properties_omitted"], true);
            assert!(contact.contains_key("first_name"));
            assert!(!contact.contains_key("note_0") && !contact.contains_key("version"), "{result}");
        } else {
            assert_eq!(contact["note_0"].as_str().unwrap().len(), VALUE_LENGTH);
            assert!(contact.contains_key("version") && contact.contains_key(&field_name(FIELDS - 1)));
            complete += 1;
        }
    }
    complete
}

fn results(response: &ApiResponse) -> &Vec<Value> {
    response.body["results"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn atomic_batch_of_contacts_that_are_too_large_together_is_413_and_writes_nothing() {
    let large = LargeContacts::create("batch_large_atomic").await;
    let mut body = large.updates();
    body["atomic"] = json!(true);
    let too_large = large.account.batch("update", body.clone()).await.expect_error(413, "payload_too_large");
    assert!(too_large.body["message"].as_str().unwrap().contains("Send fewer inputs"));
    // One of the inputs is invalid.
    body["inputs"][0]["fields"] = json!({"nope": 1});
    large.account.batch("update", body).await.expect_error(413, "payload_too_large");
    large.account.batch("update?dry_run=true", large.updates()).await.expect_error(413, "payload_too_large");
    assert!(large.versions_and_names().await.iter().all(|contact| *contact == (1, "Ada".to_owned())));
    let mut feed = FeedReader::default();
    assert!(feed.read_all(&large.account).await.is_empty());

    // Fewer inputs fit, and so do large contacts of which little is read.
    let mut body = large.updates();
    body["atomic"] = json!(true);
    body["inputs"].as_array_mut().unwrap().truncate(60);
    expect_summary(&large.account.batch("update", body).await, 60, 0);
    let inputs = large.ids.iter().map(|id| json!({"id": id, "fields": {"first_name": "Carl"}}));
    let body = json!({"inputs": inputs.collect::<Vec<_>>(), "atomic": true});
    expect_summary(&large.account.batch("update", body).await, CONTACTS, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn update_of_large_contacts_is_applied_in_order_in_several_transactions() {
    let large = LargeContacts::create("batch_large_update").await;
    let mut body = large.updates();
    let inputs = body["inputs"].as_array_mut().unwrap();
    // Two inputs fail, and a late input changes a contact that an early one has changed.
    inputs[75]["id"] = json!(Uuid::new_v4());
    inputs[100]["fields"]["external_id"] = json!("e-1");
    inputs[149] = json!({"id": large.ids[2], "fields": {"first_name": "Carl"}, "if_match": 2});
    let request =
        || large.account.call("POST", "/contacts/batch/update").header("idempotency-key", "large").json(&body);
    let response = request().send().await;
    expect_summary(&response, CONTACTS, 2);
    assert_eq!(response.header("idempotency-replayed"), "");
    let expected = (0..CONTACTS).map(|index| match index {
        75 => 404,
        100 => 409,
        _ => 200,
    });
    assert_eq!(result_statuses(&response), expected.collect::<Vec<_>>());
    let updated = results(&response).iter().enumerate().filter(|(_, result)| result["status"] == 200);
    for (index, result) in updated.clone() {
        let id = large.ids[if index == 149 { 2 } else { index }];
        assert_eq!(result["contact"]["id"], json!(id));
        assert_eq!(result["contact"]["first_name"], if index == 149 { "Carl" } else { "Bob" });
    }
    let complete = expect_all_or_default_properties(updated.map(|(_, result)| result));
    assert!((50..70).contains(&complete), "{complete}");

    // A repeat gets the same response and has no second effect.
    let repeated = request().send().await;
    assert_eq!(repeated.header("idempotency-replayed"), "true");
    assert!(repeated.text == response.text, "the repeat has another response");
    let expected = (0..CONTACTS).map(|index| match index {
        2 => (3, "Carl".to_owned()),
        75 | 100 | 149 => (1, "Ada".to_owned()),
        _ => (2, "Bob".to_owned()),
    });
    assert_eq!(large.versions_and_names().await, expected.collect::<Vec<_>>());
    let mut feed = FeedReader::default();
    assert_eq!(feed.read_all(&large.account).await.len(), CONTACTS - 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_and_archive_of_large_contacts_are_applied_in_several_transactions() {
    let large = LargeContacts::create("batch_large_upsert").await;
    // Every tenth input creates a contact.
    let inputs = (0..CONTACTS).map(|index| {
        let id = if index % 10 == 9 { format!("new-{index}") } else { format!("e-{}", index + 1) };
        json!({"id": id, "fields": {"last_name": format!("L{index}")}})
    });
    let mut body = LargeContacts::body(inputs);
    body["id_property"] = json!("external_id");
    let response = large.account.batch("upsert", body).await;
    expect_summary(&response, CONTACTS, 0);
    for (index, result) in results(&response).iter().enumerate() {
        assert_eq!(result["status"], if index % 10 == 9 { 201 } else { 200 });
        assert_eq!(result["contact"]["last_name"], format!("L{index}"));
    }
    let mut body = LargeContacts::body(large.ids.iter().map(|id| json!({"id": id})));
    let response = large.account.batch("archive", body.clone()).await;
    expect_summary(&response, CONTACTS, 0);
    assert!(results(&response).iter().all(|result| result["contact"]["archived"] != false));
    let complete = expect_all_or_default_properties(results(&response).iter());
    assert!((50..70).contains(&complete), "{complete}");
    // The keys of all contacts are free again.
    body["id_property"] = json!("external_id");
    let keys = (1..=CONTACTS).map(|number| json!({"id": format!("e-{number}")}));
    body["inputs"] = keys.collect();
    expect_summary(&large.account.batch("archive", body).await, CONTACTS, CONTACTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_values_that_do_not_fit_into_one_transaction_are_all_stored() {
    let large = LargeContacts::create("batch_large_values").await;
    // All values of a third of the contacts change: 13 MB.
    let fields: Map<_, _> = (0..FIELDS).map(|number| (field_name(number), json!("y".repeat(VALUE_LENGTH)))).collect();
    let inputs = large.ids.iter().take(50).map(|id| json!({"id": id, "fields": fields}));
    let response = large.account.batch("update", json!({"inputs": inputs.collect::<Vec<_>>()})).await;
    expect_summary(&response, 50, 0);
    assert!(result_contact(&response, 0).get("note_0").is_none());
    let changed = "SELECT count(*) FROM contacts c WHERE NOT EXISTS (SELECT FROM fields f \
                   WHERE f.account_id = c.account_id AND coalesce(c.custom->>f.id::text, '') NOT LIKE 'y%')";
    let changed: i64 = sqlx::query_scalar(changed).fetch_one(&mut large.account.database().await).await.unwrap();
    assert_eq!(changed, 50);
    // Clearing them needs a small body only.
    let fields: Map<_, _> = (0..FIELDS).map(|number| (field_name(number), Value::Null)).collect();
    let inputs = large.ids.iter().map(|id| json!({"id": id, "fields": fields}));
    let response = large.account.batch("update", json!({"inputs": inputs.collect::<Vec<_>>()})).await;
    expect_summary(&response, CONTACTS, 0);
    let empty: i64 = sqlx::query_scalar("SELECT count(*) FROM contacts WHERE custom = '{}'")
        .fetch_one(&mut large.account.database().await)
        .await
        .unwrap();
    assert_eq!(empty, CONTACTS as i64);
    let changes = "SELECT count(*) FROM changes WHERE length(changed::text) > 250000";
    let changes: i64 = sqlx::query_scalar(changes).fetch_one(&mut large.account.database().await).await.unwrap();
    assert_eq!(changes, CONTACTS as i64 + 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_patches_of_large_contacts_with_all_properties_all_succeed() {
    let large = LargeContacts::create("batch_large_patches").await;
    let properties = (0..FIELDS).map(field_name).collect::<Vec<_>>().join(",");
    let patches = large.ids.iter().map(|id| {
        let (account, target) = (large.account.clone(), format!("{id}?properties={properties}"));
        async move { account.patch(&target, json!({"first_name": "Bob"})).await }
    });
    for response in run_concurrently(patches).await {
        let contact = response.expect(200).body;
        assert_eq!(contact["first_name"], "Bob");
        assert_eq!(contact["note_63"].as_str().unwrap().len(), VALUE_LENGTH);
    }
    assert!(large.versions_and_names().await.iter().all(|contact| *contact == (2, "Bob".to_owned())));
}
