//! Names of custom fields: their pattern, reserved names, and names that generated clients could not tell apart
//! (`docs/api-reference.md#fields-api`).

use contacts::fields::RESERVED_NAMES;
use serde_json::{Value, json};

use crate::support::{Account, ApiResponse, run_concurrently};

/// Sends the definition of a text field with this name.
async fn create_named(account: &Account, name: &str) -> ApiResponse {
    account.post("/fields", json!({"internal_name": name, "label": "X", "type": "text"})).await
}

/// Inserts fields with SQL, as earlier builds would have created them. Call this before the first request of the account.
async fn insert_fields_of_an_earlier_build(account: &Account, names: &[&str]) {
    let mut database = account.database().await;
    let insert = "INSERT INTO accounts (account_id, registry_version, last_field_id) VALUES ($1, 1, 99 + $2)";
    let count = i32::try_from(names.len()).unwrap();
    sqlx::query(insert).bind(account.id).bind(count).execute(&mut database).await.unwrap();
    let insert = "INSERT INTO fields (account_id, id, internal_name, label, kind, is_unique, options, created_at, updated_at) \
                  SELECT $1, 99 + number, name, name, 'text', true, '[]', now(), now() \
                  FROM unnest($2::text[]) WITH ORDINALITY AS n (name, number)";
    sqlx::query(insert).bind(account.id).bind(names).execute(&mut database).await.unwrap();
}

#[tokio::test]
async fn field_name_must_be_words_separated_by_single_underscores() {
    let account = Account::new().await;
    for name in
        ["a_", "a__b", "a_b_", "_a", "a_1_", "a__1", "1a", "A", "a-b", "a b", "ä", "a_\u{661}", &"a_".repeat(31)]
    {
        let response = create_named(&account, name).await.expect_error(400, "validation_failed");
        response.expect_details(&[("internal_name", "invalid_format")]);
    }
    for name in ["a", "b1", "c_1", "d_1a_2", "e_b_c_d", &format!("{}f", "a_".repeat(31))] {
        let created = create_named(&account, name).await.expect(201);
        assert_eq!(created.body["internal_name"], name);
    }
}

#[tokio::test]
async fn reserved_field_name_is_400_and_a_system_field_is_409() {
    let account = Account::new().await;
    let system = account.get("/fields").await;
    let system: Vec<_> = system.body["data"].as_array().unwrap().iter().map(|f| f["internal_name"].clone()).collect();
    for name in RESERVED_NAMES {
        let response = create_named(&account, name).await;
        if system.contains(&json!(name)) {
            response.expect_error(409, "duplicate_field");
        } else {
            response.expect_error(400, "validation_failed").expect_details(&[("internal_name", "invalid_format")]);
        }
    }
    for name in ["url", "self", "data", "meta", "account_id", "merged_into", "warnings"] {
        create_named(&account, name).await.expect_error(400, "validation_failed");
    }
    assert_eq!(account.get("/fields").await.body["data"].as_array().unwrap().len(), system.len());
}

#[tokio::test]
async fn reserved_name_made_from_a_label_gets_a_prefix() {
    let account = Account::new().await;
    for (label, name) in [
        ("URL", "field_url"),
        ("Self!", "field_self"),
        ("account id", "field_account_id"),
        ("2nd phone", "field_2nd_phone"),
        (" __a__ b__", "a_b"),
        ("Line 1_", "line_1"),
    ] {
        let created = account.post("/fields", json!({"label": label, "type": "text"})).await.expect(201);
        assert_eq!(created.body["internal_name"], name, "{label}");
    }
    for label in ["URL", "field url", "Email", "ID", "Created at", "line1"] {
        let response = account.post("/fields", json!({"label": label, "type": "text"})).await;
        response.expect_error(409, "duplicate_field");
    }
}

#[tokio::test]
async fn name_that_differs_only_in_underscores_before_digits_is_409() {
    let account = Account::new().await;
    for (first, second) in [("a1", "a_1"), ("b_1", "b1"), ("c_2_d3", "c2_d_3"), ("d_1a", "d1a"), ("e1_2", "e_12")] {
        create_named(&account, first).await.expect(201);
        create_named(&account, second).await.expect_error(409, "duplicate_field");
        create_named(&account, first).await.expect_error(409, "duplicate_field");
    }
    for name in ["f1_b", "f1b", "f_b", "fb"] {
        create_named(&account, name).await.expect(201);
    }
    // The name of a deleted field is free.
    account.delete("/fields/a1").await.expect(204);
    create_named(&account, "a_1").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_similar_names_get_one_201_and_otherwise_409() {
    let account = Account::new().await;
    let instances = [account.clone(), account.on_instance(&account.server.second_instance())];
    for round in 0..10 {
        let calls = (0..8).map(|caller| {
            let account = instances[caller % 2].clone();
            let name = format!("f{}x{}1", "y".repeat(round), if caller / 2 % 2 == 0 { "" } else { "_" });
            async move { create_named(&account, &name).await.status }
        });
        let mut statuses = run_concurrently(calls).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    }
}

#[tokio::test]
async fn fields_of_earlier_builds_keep_their_names() {
    let account = Account::new().await;
    let names = ["a1", "a_1", "b__c", "d_", "url", "version_"];
    insert_fields_of_an_earlier_build(&account, &names).await;
    for name in names {
        let field = format!("/fields/{name}");
        assert_eq!(account.get(&field).await.expect(200).body["internal_name"], name);
        let value = format!("value of {name}");
        let id = account.create(json!({"first_name": "A", (name): value})).await;
        assert_eq!(account.get(&format!("/contacts/{id}?properties={name}")).await.expect(200).body[name], *value);
        account.patch(&format!("{id}?properties={name}"), json!({(name): "new"})).await.expect(200);
        account.get(&format!("/contacts/new?id_property={name}")).await.expect(200);
        let filters = json!([{"property": name, "operator": "eq", "value": "new"}]);
        let found = account.post("/contacts/search", json!({"filters": filters, "sorts": [name]})).await.expect(200);
        assert_eq!(found.body["data"].as_array().unwrap().len(), 1);
        account.call("PATCH", &field).json(&json!({"label": "New"})).send().await.expect(200);
        let document = account.call("GET", "/openapi.json").send().await.expect(200);
        assert!(document.text.contains(&format!("\"{name}\"")));
    }
    for similar in ["a1", "a_1", "b_c", "d"] {
        create_named(&account, similar).await.expect_error(409, "duplicate_field");
    }
    for name in names {
        account.delete(&format!("/fields/{name}")).await.expect(204);
    }
    for name in ["a1", "b_c", "d"] {
        create_named(&account, name).await.expect(201);
    }
}

#[tokio::test]
async fn option_names_keep_their_pattern_and_none_is_reserved() {
    let account = Account::new().await;
    let names = ["a__b", "a_", "a1", "a_1", "url", "self", "error"];
    let options: Vec<Value> = names.iter().map(|name| json!({"internal_name": name, "label": name})).collect();
    let field = json!({"label": "Choice", "type": "multi_select", "options": options});
    let created = account.post("/fields", field).await.expect(201);
    assert_eq!(created.body["options"], json!(options));
    let field = json!({"label": "Second", "type": "dropdown", "options": [{"label": "URL"}]});
    assert_eq!(account.post("/fields", field).await.expect(201).body["options"][0]["internal_name"], "url");
}
