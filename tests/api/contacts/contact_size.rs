//! The limit of the size of a contact (`docs/api-reference.md#limits`).

use serde_json::{Map, Value, json};

use crate::support::{Account, ApiResponse, Server};

const MAX_BYTES: usize = 262_144;
const FIELDS: usize = 70;

fn field_name(number: usize) -> String {
    format!("field_{number}")
}

/// Creates an account with its own database and [`FIELDS`] custom fields.
async fn account_with_fields(database: &str) -> Account {
    let account = Account::on_server(&Server::with_own_database(database, |_| {}));
    for number in 0..FIELDS {
        account.define(json!({"label": field_name(number), "type": "text"})).await;
    }
    account
}

/// Returns fields of a contact whose size is exactly this number of bytes. They include `first_name`, and `field_0` with
/// a value of at least 100 characters.
fn fields_of_size(bytes: usize) -> Value {
    let mut fields = Map::from_iter([("first_name".to_owned(), json!("Ada")), (field_name(0), json!("x".repeat(100)))]);
    for number in 1..FIELDS {
        let size = Value::Object(fields.clone()).to_string().len();
        if size == bytes {
            break;
        }
        // The rest that is too short for a field of its own goes into the first one.
        let name = field_name(number);
        let added = r#","":"""#.len() + name.len();
        let value = (bytes - size).saturating_sub(added).min(4_000);
        if value == 0 {
            fields[&field_name(0)] = json!("x".repeat(100 + bytes - size));
        } else {
            fields.insert(name, json!("x".repeat(value)));
        }
    }
    let fields = Value::Object(fields);
    assert_eq!(fields.to_string().len(), bytes);
    fields
}

#[track_caller]
fn expect_too_large(response: ApiResponse) {
    response.expect_error(400, "validation_failed").expect_details(&[("fields", "contact_too_large")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_of_exactly_the_limit_is_stored_and_one_byte_more_is_400() {
    let account = account_with_fields("contact_size_create").await;
    let too_large = fields_of_size(MAX_BYTES + 1);
    expect_too_large(account.post("/contacts", json!({"fields": too_large})).await);
    expect_too_large(account.put("e-1?id_property=external_id", too_large.clone()).await);
    let id = account.create(fields_of_size(MAX_BYTES)).await;
    expect_too_large(account.patch(&id, json!({"first_name": "Adam"})).await);
    expect_too_large(account.patch(&id, json!({"phone": "+1 555"})).await);
    account.patch(&id, json!({"first_name": "Ad", "phone": null})).await.expect(200);
    account.patch(&id, json!({"first_name": "Ada"})).await.expect(200);
    let batch = json!({"inputs": [{"fields": too_large}, {"fields": {"first_name": "B"}}]});
    let created = account.batch("create", batch).await.expect(207).body;
    assert_eq!(created["results"][0]["error"]["details"][0]["code"], "contact_too_large");
    assert_eq!(created["results"][1]["status"], 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn size_counts_the_bytes_of_the_rendered_json() {
    let account = account_with_fields("contact_size_rendered").await;
    // Each of these values takes 4,000 bytes as JSON: escapes and UTF-8 count, not characters.
    let values = ["\"".repeat(1_999), "😀".repeat(999) + "xx", "\u{1}".repeat(666) + "xx", "x".repeat(3_998)];
    for value in values {
        assert_eq!(json!(value).to_string().len(), 4_000);
        let name_and_rest = r#","":"#.len();
        let mut fields = Map::from_iter([("first_name".to_owned(), json!("Ada"))]);
        for number in 0..65 {
            fields.insert(field_name(number), json!(value));
        }
        let size = Value::Object(fields.clone()).to_string().len();
        let rest = MAX_BYTES - size - name_and_rest - field_name(66).len() - 2;
        fields.insert(field_name(66), json!("x".repeat(rest + 1)));
        expect_too_large(account.post("/contacts", json!({"fields": fields})).await);
        fields.insert(field_name(66), json!("x".repeat(rest)));
        account.post("/contacts", json!({"fields": fields})).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_leaves_a_contact_no_larger_is_never_refused_for_its_size() {
    let account = account_with_fields("contact_size_older").await;
    let id = account.create(fields_of_size(MAX_BYTES)).await;
    // An older build has stored a contact that is larger, and no size with it.
    let update = "UPDATE contacts SET job_title = repeat('x', 255), phone = '+1 555', custom_size = NULL";
    sqlx::query(update).execute(&mut account.database().await).await.unwrap();
    for same_or_smaller in [
        json!({"first_name": "Bob"}),
        json!({"first_name": "Bo"}),
        json!({"field_1": "y".repeat(4_000)}),
        json!({"field_1": "y".repeat(3_980), "last_name": "L"}),
    ] {
        account.patch(&id, same_or_smaller).await.expect(200);
    }
    expect_too_large(account.patch(&id, json!({"last_name": "LL"})).await);
    expect_too_large(account.patch(&id, json!({"field_1": "y".repeat(3_981)})).await);
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200);
    account.patch(&id, json!({"field_2": null})).await.expect(200);
    account.patch(&id, json!({"last_name": "LL"})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_patches_cannot_grow_a_contact_beyond_the_limit() {
    let account = account_with_fields("contact_size_growth").await;
    let id = account.create(json!({"first_name": "Ada"})).await;
    let mut refused = 0;
    for number in 0..FIELDS {
        let response = account.patch(&id, json!({field_name(number): "x".repeat(4_000)})).await;
        if response.status != 200 {
            expect_too_large(response);
            refused += 1;
        }
    }
    // 65 fields of about 4,015 bytes fit.
    assert_eq!(refused, FIELDS - 65);
    // Deleted values no longer count.
    account.delete("/fields/field_0").await.expect(204);
    account.patch(&id, json!({"field_68": "x".repeat(4_000)})).await.expect(200);
    expect_too_large(account.patch(&id, json!({"field_69": "x".repeat(4_000)})).await);
    // An older build adds a value. It changes the version, but not the size that is stored with the contact.
    let update = "UPDATE contacts c SET version = version + 1, custom = custom - ARRAY(SELECT f.id::text \
                  FROM fields f WHERE f.account_id = c.account_id AND internal_name IN ('field_2', 'field_3'))";
    sqlx::query(update).execute(&mut account.database().await).await.unwrap();
    account.patch(&id, json!({"field_69": "x".repeat(4_000)})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_one_batch_count_together() {
    let account = account_with_fields("contact_size_batch").await;
    let mut fields = fields_of_size(MAX_BYTES - 5_000);
    fields["email"] = json!("ada@example.com");
    let id = account.create(fields).await;
    let other = account.create(json!({"first_name": "B", "external_id": "k"})).await;
    let large = json!({"field_68": "x".repeat(4_000)});
    let larger = json!({"field_69": "x".repeat(4_000)});
    let inputs = json!([{"id": id, "fields": large}, {"id": id, "fields": larger},
        {"id": id, "fields": {"field_68": null}}, {"id": id, "fields": larger}]);
    let statuses = |response: ApiResponse| -> Vec<u64> {
        response.body["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
    };
    let dry_run = account.batch("update?dry_run=true", json!({"inputs": inputs})).await.expect(207);
    assert_eq!(statuses(dry_run), [200, 400, 200, 200]);
    assert_eq!(statuses(account.batch("update", json!({"inputs": inputs})).await), [200, 400, 200, 200]);

    // The key moves to the large contact, and the last input addresses that contact.
    account.patch(&id, json!({"field_69": null})).await.expect(200);
    let inputs = json!([
        {"id": "b@example.com", "fields": {"external_id": null, "first_name": "B"}},
        {"id": "ada@example.com", "fields": {"external_id": "k"}},
    ]);
    account.patch(&other, json!({"email": "b@example.com"})).await.expect(200);
    let moved = account.batch("update", json!({"id_property": "email", "inputs": inputs})).await.expect(200);
    assert_eq!(moved.body["results"][1]["contact"]["external_id"], "k");
    let inputs = json!([{"id": "k", "fields": large}, {"id": "k", "fields": larger}]);
    let response = account.batch("upsert", json!({"id_property": "external_id", "inputs": inputs})).await;
    assert_eq!(statuses(response), [200, 400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn size_is_checked_after_preconditions_and_before_unique_keys() {
    let account = account_with_fields("contact_size_order").await;
    account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(fields_of_size(MAX_BYTES)).await;
    let larger = json!({"last_name": "L", "email": "taken@example.com"});
    let path = format!("/contacts/{id}");
    let request = || account.call("PATCH", &path).json(&json!({"fields": larger}));
    request().header("if-match", "\"other\"").send().await.expect_error(412, "precondition_failed");
    expect_too_large(request().send().await);
    account.delete(&path).await.expect(200);
    request().send().await.expect_error(409, "contact_archived");
}
