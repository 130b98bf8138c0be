//! Paging through a search.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{account_with_every_type, first_names, search};
use crate::support::{Account, ApiResponse};

/// Returns the cursor of the next page, or null.
fn next_cursor(response: &ApiResponse) -> Value {
    response.body["pagination"]["next"].clone()
}

/// Returns the first names on all pages of a search. The pages cycle through these limits.
async fn read_all_pages(account: &Account, body: &Value, limits: &[u64]) -> Vec<String> {
    let (mut seen, mut body, mut limits) = (vec![], body.clone(), limits.iter().cycle());
    loop {
        body["limit"] = json!(limits.next());
        let page = search(account, body.clone()).await;
        seen.extend(first_names(&page));
        assert!(
            page.body["data"].as_array().unwrap().len() as u64 <= page.body["pagination"]["limit"].as_u64().unwrap()
        );
        if next_cursor(&page).is_null() {
            return seen;
        }
        body["after"] = next_cursor(&page);
    }
}

/// Inserts contacts directly into the database: numbered first names, and few distinct values in the other fields.
async fn insert_contacts(account: &Account, count: i32) {
    let fields = account.get("/fields").await.expect(200);
    assert!(fields.body["data"].as_array().unwrap().iter().any(|field| field["internal_name"] == "a_number"));
    let mut database = account.database().await;
    let ids: Vec<(String, i32)> = sqlx::query_as("SELECT internal_name, id FROM fields WHERE account_id = $1")
        .bind(account.id)
        .fetch_all(&mut database)
        .await
        .unwrap();
    let id = |name: &str| ids.iter().find(|(known, _)| known == name).unwrap().1.to_string();
    let insert = "INSERT INTO contacts (account_id, id, version, first_name, company_name, custom, created_at, updated_at) \
                SELECT $1, gen_random_uuid(), 1, lpad(n::text, 5, '0'), CASE WHEN n % 5 > 0 THEN 'Company ' || n % 5 END, \
                       CASE WHEN n % 3 = 0 THEN '{}' ELSE jsonb_build_object($3::text, n % 7 / 2.0) END || \
                       CASE WHEN n % 4 = 0 THEN '{}' ELSE jsonb_build_object($4::text, (ARRAY['zinc', 'iron', 'gold'])[n % 3 + 1]) END || \
                       CASE WHEN n % 6 = 0 THEN '{}' ELSE jsonb_build_object($5::text, (ARRAY['[\"gold\"]', '[\"gold\", \"zinc\"]', '[\"iron\"]'])[n % 3 + 1]::jsonb) END, \
                       date_trunc('milliseconds', now()), now() FROM generate_series(1, $2) n";
    let query = sqlx::query(insert).bind(account.id).bind(count);
    query.bind(id("a_number")).bind(id("a_dropdown")).bind(id("a_multi_select")).execute(&mut database).await.unwrap();
}

#[tokio::test]
async fn search_pages_return_each_contact_once_in_any_order() {
    const COUNT: usize = 2_000;
    let account = account_with_every_type().await;
    insert_contacts(&account, COUNT as i32).await;
    for sorts in [
        json!([]),
        json!(["-id"]),
        json!(["company_name"]),
        json!(["-company_name", "a_number"]),
        json!(["a_dropdown", "-a_multi_select", "company_name", "-a_number", "-created_at"]),
        json!(["-a_dropdown", "a_multi_select", "-id"]),
        json!(["a_checkbox", "archived", "email"]),
    ] {
        let all = read_all_pages(&account, &json!({"sorts": sorts}), &[100]).await;
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (COUNT, COUNT), "{sorts}");
        let uneven = read_all_pages(&account, &json!({"sorts": sorts}), &[99, 1, 100, 37, 2, 100, 100]).await;
        assert!(all == uneven, "{sorts}: pages of different sizes return a different order");
    }
}

#[tokio::test]
async fn contacts_created_while_paging_neither_repeat_nor_hide_others() {
    let account = Account::new().await;
    for index in 0..30 {
        account.create(json!({"first_name": format!("{index:02}"), "job_title": format!("{:02}", index % 3)})).await;
    }
    let body = json!({"sorts": ["-job_title"], "limit": 4});
    let mut page = search(&account, body.clone()).await;
    let mut seen = first_names(&page);
    while !next_cursor(&page).is_null() {
        account.create(json!({"first_name": "new", "job_title": "03"})).await;
        page = search(&account, json!({"sorts": ["-job_title"], "limit": 4, "after": next_cursor(&page)})).await;
        seen.extend(first_names(&page));
    }
    let expected: Vec<_> =
        (0..3).rev().flat_map(|title| (0..10).map(move |index| format!("{:02}", index * 3 + title))).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn search_next_is_null_only_on_the_last_page() {
    let account = Account::new().await;
    for name in ["A", "B", "C"] {
        account.create(json!({"first_name": name})).await;
    }
    let three = search(&account, json!({"limit": 3})).await;
    assert_eq!((first_names(&three).len(), next_cursor(&three)), (3, Value::Null));
    assert_eq!(three.body["pagination"], json!({"limit": 3, "next": null}));
    let two = search(&account, json!({"limit": 2})).await;
    assert_eq!(two.header("cache-control"), "private, no-cache");
    let last = search(&account, json!({"limit": 1, "after": next_cursor(&two), "properties": ["phone"]})).await;
    assert_eq!((first_names(&last), next_cursor(&last)), (vec!["C".to_owned()], Value::Null));
    assert_eq!(last.body["data"][0]["phone"], Value::Null);
    let nothing = search(&account, json!({"query": "nobody"})).await;
    assert_eq!(nothing.body, json!({"data": [], "pagination": {"limit": 10, "next": null}}));
}

#[tokio::test]
async fn cursor_used_with_another_search_is_400() {
    let account = Account::new().await;
    for name in ["A", "B", "C"] {
        account.create(json!({"first_name": name, "email": format!("{name}@example.com")})).await;
    }
    let filter = |value: &str| json!([{"property": "email", "operator": "contains", "value": value}]);
    let body = json!({"filters": filter("example"), "sorts": ["email"], "limit": 1});
    let body_with = |key: &str, value: Value| {
        let mut body = body.clone();
        body[key] = value;
        body
    };
    let cursor = next_cursor(&search(&account, body.clone()).await);
    let second_page = body_with("after", cursor.clone());
    assert_eq!(first_names(&search(&account, second_page.clone()).await), ["B"]);
    let other_account = Account::new().await;
    let rejected = other_account.post("/contacts/search", second_page).await.expect_error(400, "invalid_query");
    rejected.expect_details(&[("after", "invalid_format")]);
    let list = account.get("/contacts?limit=1").await.body["pagination"]["next"].clone();
    for (key, value) in [
        ("filters", filter("EXAMPLE")),
        ("filters", json!([])),
        ("filter_groups", json!([{"filters": filter("a")}])),
        ("sorts", json!(["-email"])),
        ("sorts", json!([])),
        ("query", json!("a")),
        ("archived", json!(true)),
    ] {
        let mut other = body_with(key, value);
        other["after"] = cursor.clone();
        let response = account.post("/contacts/search", other).await.expect_error(400, "invalid_query");
        response.expect_details(&[("after", "invalid_format")]);
    }
    for forged in [list, json!(""), json!("abc"), json!("A".repeat(100_000)), json!("\u{0}")] {
        account.post("/contacts/search", body_with("after", forged)).await.expect_error(400, "invalid_query");
    }
    let path = format!("/contacts?after={}", cursor.as_str().unwrap());
    account.get(&path).await.expect_error(400, "invalid_query");
}

#[tokio::test]
async fn search_cursor_holds_long_and_unusual_sort_values() {
    let account = account_with_every_type().await;
    let texts = ["\u{10ffff}".repeat(4_096), "\"\\\n'".into(), " ".into(), "ß".repeat(4_000)];
    for text in &texts {
        account.create(json!({"first_name": "A", "a_text": text})).await;
    }
    let body = json!({"sorts": ["-a_text"], "properties": ["a_text"], "limit": 1});
    let (mut seen, mut page) = (vec![], search(&account, body.clone()).await);
    loop {
        seen.push(page.body["data"][0]["a_text"].as_str().unwrap().to_owned());
        if next_cursor(&page).is_null() {
            break;
        }
        let mut body = body.clone();
        body["after"] = next_cursor(&page);
        page = search(&account, body).await;
    }
    let mut expected = texts.to_vec();
    expected.sort();
    expected.reverse();
    assert_eq!(seen, expected);
}
