//! `GET /contacts`

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse};

/// Returns the first names of the listed contacts, in order.
fn first_names(response: &ApiResponse) -> Vec<String> {
    response.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contact| contact["first_name"].as_str().unwrap().to_owned())
        .collect()
}

/// Creates an account with `count` contacts. The first name of each is its two-digit index.
async fn account_with_contacts(count: usize) -> Account {
    let account = Account::new().await;
    for index in 0..count {
        account.create(json!({"first_name": format!("{index:02}")})).await;
    }
    account
}

#[tokio::test]
async fn list_by_offset_returns_the_total_count() {
    let account = account_with_contacts(12).await;
    let first = account.get("/contacts").await.expect(200);
    assert_eq!(first_names(&first), (0..10).map(|index| format!("{index:02}")).collect::<Vec<_>>());
    let pagination = &first.body["pagination"];
    assert_eq!(
        (&pagination["limit"], &pagination["offset"], &pagination["count"]),
        (&json!(10), &json!(0), &json!(12))
    );
    assert!(pagination["next"].is_string());
    let second = account.get("/contacts?limit=5&offset=10").await;
    assert_eq!(
        (first_names(&second), &second.body["pagination"]["next"]),
        (vec!["10".into(), "11".into()], &Value::Null)
    );
    let exactly = account.get("/contacts?limit=12").await;
    assert_eq!((first_names(&exactly).len(), &exactly.body["pagination"]["next"]), (12, &Value::Null));
    let beyond = account.get("/contacts?offset=9223372036854775807").await.expect(200);
    assert_eq!((first_names(&beyond).len(), &beyond.body["pagination"]["count"]), (0, &json!(12)));
}

#[tokio::test]
async fn list_by_cursor_returns_each_contact_once() {
    let account = account_with_contacts(7).await;
    let mut seen = vec![];
    let mut page = account.get("/contacts?limit=2").await.expect(200);
    loop {
        seen.extend(first_names(&page));
        let Some(next) = page.body["pagination"]["next"].as_str() else { break };
        page = account.get(&format!("/contacts?limit=3&after={next}")).await.expect(200);
        let keys: Vec<_> = page.body["pagination"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["limit", "next"]);
    }
    assert_eq!(seen, (0..7).map(|index| format!("{index:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn list_of_a_new_account_is_empty() {
    let account = Account::new().await;
    let response = account.get("/contacts").await.expect(200);
    assert_eq!(response.body, json!({"data": [], "pagination": {"limit": 10, "offset": 0, "count": 0, "next": null}}));
    assert_eq!(response.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn list_excludes_archived_contacts_unless_requested() {
    let account = account_with_contacts(3).await;
    let id = account.get("/contacts").await.body["data"][1]["id"].as_str().unwrap().to_owned();
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    for query in ["", "?archived=false"] {
        let active = account.get(&format!("/contacts{query}")).await.expect(200);
        assert_eq!(
            (first_names(&active), &active.body["pagination"]["count"]),
            (vec!["00".into(), "02".into()], &json!(2))
        );
    }
    let all = account.get("/contacts?archived=true").await.expect(200);
    assert_eq!((first_names(&all).len(), &all.body["pagination"]["count"]), (3, &json!(3)));
    assert_eq!(all.body["data"][1]["archived_by"], "tester");
}

#[tokio::test]
async fn list_filters_by_email_and_external_id() {
    let account = Account::new().await;
    let mut ids = vec![];
    for (name, email, external_id) in
        [("A", "x@example.com", "1"), ("B", "X@example.com", "2"), ("C", "y@example.com", "1")]
    {
        let id = account.create(json!({"first_name": name, "email": email, "external_id": external_id})).await;
        account.delete(&format!("/contacts/{id}")).await.expect(200);
        ids.push(id);
    }
    account.call("POST", &format!("/contacts/{}/restore", ids[1])).send().await.expect(200);
    for (query, expected) in [
        ("email=X@EXAMPLE.com", vec!["B"]),
        ("email=%20x@example.com+", vec!["B"]),
        ("email=x@example.com&archived=true", vec!["A", "B"]),
        ("external_id=1", vec![]),
        ("external_id=1&archived=true", vec!["A", "C"]),
        ("external_id=2", vec!["B"]),
        ("email=x@example.com&external_id=2", vec!["B"]),
        ("email=x@example.com&external_id=1", vec![]),
        ("email=x@example.com&external_id=1&archived=true", vec!["A"]),
        ("email=nobody@example.com", vec![]),
        ("email=not-an-email", vec![]),
        ("external_id=%09", vec![]),
        ("external_id=+", vec![]),
    ] {
        let response = account.get(&format!("/contacts?{query}")).await.expect(200);
        assert_eq!(first_names(&response), expected, "{query}");
        assert_eq!(response.body["pagination"]["count"], expected.len(), "{query}");
    }
}

#[tokio::test]
async fn cursor_used_with_another_list_is_400() {
    let account = account_with_contacts(3).await;
    let next = account.get("/contacts?limit=1").await.body["pagination"]["next"].as_str().unwrap().to_owned();
    account.get(&format!("/contacts?after={next}&limit=2&properties=phone")).await.expect(200);
    for query in [
        format!("after={next}&archived=true"),
        format!("after={next}&email=a@b.cd"),
        format!("after={next}&offset=0"),
        "after=".into(),
    ] {
        account.get(&format!("/contacts?{query}")).await.expect_error(400, "invalid_query");
    }
    let other_account = Account::new().await;
    other_account.get(&format!("/contacts?after={next}")).await.expect_error(400, "invalid_query");
}

#[tokio::test]
async fn list_returns_the_requested_properties() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A", "phone": "+1 555"})).await;
    let response = account.get("/contacts?properties=phone").await.expect(200);
    assert_eq!(response.body["data"][0]["phone"], "+1 555");
    account
        .get("/contacts?properties=nope")
        .await
        .expect_error(400, "invalid_properties")
        .expect_details(&[("nope", "unknown_field")]);
}

#[tokio::test]
async fn email_filter_with_a_raw_plus_is_400_and_says_how_to_encode_it() {
    let account = Account::new().await;
    let id = account.create(json!({"email": "a+b@x.io"})).await;
    for query in ["email=a+b@x.io", "email=+b@x.io", "email=a+b%40x.io&limit=1"] {
        let refused = account.get(&format!("/contacts?{query}")).await.expect_error(400, "invalid_query");
        assert!(refused.body["message"].as_str().unwrap().contains("encode + as %2B"), "{}", refused.text);
        refused.expect_details(&[("email", "invalid_format")]);
    }
    let found = account.get("/contacts?email=a%2Bb@x.io").await.expect(200);
    assert_eq!(found.body["data"][0]["id"], id);
    // An external id may contain spaces.
    let spaced = account.create(json!({"first_name": "A", "external_id": "a b"})).await;
    assert_eq!(account.get("/contacts?external_id=a+b").await.expect(200).body["data"][0]["id"], spaced);
}

#[tokio::test]
async fn empty_filter_is_400_and_blank_external_id_is_compared_exactly() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A", "external_id": "a"})).await;
    for query in ["external_id=", "email=", "email=%20"] {
        let (name, _) = query.split_once('=').unwrap();
        let refused = account.get(&format!("/contacts?{query}")).await.expect_error(400, "invalid_query");
        refused.expect_details(&[(name, "required")]);
    }
    for blank in ["%09", "%20", "+", "%E3%80%80"] {
        let page = account.get(&format!("/contacts?external_id={blank}")).await.expect(200);
        assert_eq!(page.body["data"], json!([]));
    }
    // A build that allowed blank external ids may have stored one.
    let stored = "UPDATE contacts SET external_id = ' ' WHERE account_id = $1";
    sqlx::query(stored).bind(account.id).execute(&mut account.database().await).await.unwrap();
    let key = "UPDATE contact_keys SET key = ' ' WHERE account_id = $1";
    sqlx::query(key).bind(account.id).execute(&mut account.database().await).await.unwrap();
    assert_eq!(account.get("/contacts?external_id=%20").await.expect(200).body["pagination"]["count"], 1);
    account.get("/contacts/%20?id_property=external_id").await.expect(200);
    let search = json!({"filters": [{"property": "external_id", "operator": "eq", "value": " "}]});
    assert_eq!(account.post("/contacts/search", search).await.expect(200).body["data"][0]["first_name"], "A");
    let input = json!({"id_property": "external_id", "inputs": [{"id": " "}]});
    account.batch("read", input).await.expect(200);
    account.patch("%20?id_property=external_id", json!({"external_id": ""})).await.expect(200);
}
