//! `*`, `custom` and `system` in lists of properties.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::Account;

const DEFAULT: [&str; 9] =
    ["id", "first_name", "last_name", "email", "contact_owner", "external_id", "archived", "created_at", "updated_at"];
const SYSTEM: [&str; 7] = ["archived_by", "phone", "mobile_phone", "job_title", "company_name", "website", "version"];
const CUSTOM: [&str; 2] = ["score", "shirt"];

fn names(contact: &Value) -> BTreeSet<String> {
    contact.as_object().unwrap().keys().cloned().collect()
}

fn expected(lists: &[&[&str]]) -> BTreeSet<String> {
    lists.concat().into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn words_request_several_fields_in_queries_and_bodies() {
    let account = Account::new().await;
    for (label, kind) in [("score", "number"), ("shirt", "text")] {
        account.define(json!({"label": label, "type": kind})).await;
    }
    let id = account.create(json!({"first_name": "A", "external_id": "x", "score": 1})).await;
    for (list, lists) in [
        ("*", &[&DEFAULT[..], &SYSTEM, &CUSTOM][..]),
        ("custom", &[&DEFAULT, &CUSTOM]),
        ("system", &[&DEFAULT, &SYSTEM]),
        ("custom, phone,custom", &[&DEFAULT, &CUSTOM, &["phone"]]),
        ("system,custom", &[&DEFAULT, &SYSTEM, &CUSTOM]),
    ] {
        let expected = expected(lists);
        let items: Vec<_> = list.split(',').collect();
        let encoded = list.replace(' ', "%20");
        let read = account.get(&format!("/contacts/{id}?properties={encoded}")).await.expect(200);
        let listed = account.get(&format!("/contacts?properties={encoded}")).await.expect(200);
        let put = account.put(&format!("x?id_property=external_id&properties={encoded}"), json!({})).await.expect(200);
        let found = account.post("/contacts/search", json!({"properties": items})).await.expect(200);
        let batch = json!({"inputs": [{"id": id}], "properties": list});
        let batch = account.batch("read", batch).await.expect(200);
        for contact in [
            &read.body,
            &listed.body["data"][0],
            &put.body,
            &found.body["data"][0],
            &batch.body["results"][0]["contact"],
        ] {
            assert_eq!(names(contact), expected, "{list}");
            assert!(contact.get("score").is_none_or(|score| *score == 1));
        }
    }
    for unknown in ["all", "**", "Custom"] {
        let response = account.get(&format!("/contacts?properties={unknown}")).await;
        response.expect_error(400, "invalid_properties").expect_details(&[(unknown, "unknown_field")]);
    }
    // The words are not names of properties elsewhere.
    let sorted = account.post("/contacts/search", json!({"sorts": ["custom"]})).await;
    sorted.expect_error(400, "invalid_query");
}

#[tokio::test]
async fn pages_have_up_to_1000_contacts() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..1_000).map(|number| json!({"fields": {"first_name": format!("{number}")}})).collect();
    account.batch("create", json!({"inputs": inputs})).await.expect(200);
    account.create(json!({"first_name": "last"})).await;
    let list = account.get("/contacts?limit=1000").await.expect(200);
    let search = account.post("/contacts/search", json!({"limit": 1000})).await.expect(200);
    for page in [&list.body, &search.body] {
        assert_eq!((page["data"].as_array().unwrap().len(), &page["pagination"]["limit"]), (1_000, &json!(1_000)));
        assert!(page["pagination"]["next"].is_string());
    }
    account
        .get("/contacts?limit=1001")
        .await
        .expect_error(400, "invalid_query")
        .expect_details(&[("limit", "out_of_range")]);
    account.post("/contacts/search", json!({"limit": 1001})).await.expect_error(400, "invalid_query");
}
