//! Custom fields of a type that a newer version of the service has stored: during a rolling upgrade this version serves
//! their accounts, too (`docs/api-reference.md#fields`).

use serde_json::{Value, json};

use crate::support::{Account, FeedReader, Server};

/// Creates an account with a contact and two fields, and makes one of the fields a field of an unknown type with a value
/// of another shape. Returns the account as another instance sees it, and the contact's id.
async fn account_with_unsupported_field() -> (Account, String) {
    let account = Account::new().await;
    account.define(json!({"label": "place", "type": "text"})).await;
    account.define(json!({"label": "size", "type": "number"})).await;
    let id = account.create(json!({"first_name": "Ada", "email": "ada@example.com", "place": "x", "size": 1})).await;
    let mut database = account.database().await;
    for statement in [
        "UPDATE fields SET kind = 'geo', options = '{\"unit\": \"km\"}' WHERE account_id = $1 AND internal_name = 'place'",
        "UPDATE contacts SET custom = custom || '{\"100\": {\"lat\": 1.5, \"lon\": [2]}}' WHERE account_id = $1",
    ] {
        sqlx::query(statement).bind(account.id).execute(&mut database).await.unwrap();
    }
    let instance = account.on_instance(&Server::shared().second_instance());
    (instance, id)
}

/// Returns the stored value of the field.
async fn stored_value(account: &Account) -> Option<Value> {
    let select = "SELECT custom -> '100' FROM contacts WHERE account_id = $1";
    sqlx::query_scalar(select).bind(account.id).fetch_one(&mut account.database().await).await.unwrap()
}

#[tokio::test]
async fn reads_of_an_account_with_a_field_of_an_unknown_type_work_without_the_field() {
    let (account, id) = account_with_unsupported_field().await;
    let contact = account.get(&format!("/contacts/{id}?properties=size")).await.expect(200);
    assert_eq!(contact.body["size"], 1);
    account.get("/contacts").await.expect(200);
    account.get(&format!("/contacts/{id}/history")).await.expect(200);
    assert_eq!(FeedReader::read_entire_feed(&account).await.len(), 1);
    let search = json!({"filters": [{"property": "size", "operator": "eq", "value": 1}]});
    assert_eq!(account.post("/contacts/search", search).await.expect(200).body["data"][0]["id"], id);
    account.get("/openapi.json").await.expect(200);
    let fields = account.get("/fields").await.expect(200).body["data"].as_array().unwrap().clone();
    let names: Vec<_> = fields.iter().map(|field| field["internal_name"].as_str().unwrap()).collect();
    assert!(names.contains(&"size") && !names.contains(&"place"), "{names:?}");
    account.get("/fields/place").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn writes_of_other_fields_keep_the_value_of_a_field_of_an_unknown_type() {
    let (account, id) = account_with_unsupported_field().await;
    let value = Some(json!({"lat": 1.5, "lon": [2]}));
    assert_eq!(stored_value(&account).await, value);
    account.patch(&id, json!({"first_name": "Augusta", "size": 2})).await.expect(200);
    account.patch(&id, json!({"size": null})).await.expect(200);
    account.put("ada@example.com?id_property=email", json!({"last_name": "King", "size": 3})).await.expect(200);
    let inputs = json!({"inputs": [{"id": id, "fields": {"size": 4}}]});
    account.batch("update", inputs).await.expect(200);
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    account.call("POST", &format!("/contacts/{id}/restore")).send().await.expect(200);
    assert_eq!(stored_value(&account).await, value);
    assert_eq!(account.get(&format!("/contacts/{id}?properties=size")).await.expect(200).body["size"], 4);
}

#[tokio::test]
async fn requests_that_name_a_field_of_an_unknown_type_are_400_and_its_name_is_taken() {
    let (account, id) = account_with_unsupported_field().await;
    let expect_explained = |response: crate::support::ApiResponse, code: &str| {
        let response = response.expect_error(400, code);
        let message = response.body["details"][0]["message"].as_str().unwrap();
        assert!(message.contains("has the type geo, which this version"), "{message}");
    };
    expect_explained(account.patch(&id, json!({"place": "y"})).await, "validation_failed");
    let fields = json!({"fields": {"first_name": "B", "place": null}});
    expect_explained(account.post("/contacts", fields).await, "validation_failed");
    expect_explained(account.get("/contacts?properties=place").await, "invalid_properties");
    let search = json!({"filters": [{"property": "place", "operator": "has_value"}]});
    expect_explained(account.post("/contacts/search", search).await, "invalid_query");
    let label = account.call("PATCH", "/fields/place").json(&json!({"label": "Location"})).send().await;
    expect_explained(label, "validation_failed");
    expect_explained(account.delete("/fields/place").await, "validation_failed");
    account.post("/fields", json!({"label": "place", "type": "text"})).await.expect_error(409, "duplicate_field");
    account.define(json!({"label": "another", "type": "text"})).await;
}
