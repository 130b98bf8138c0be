//! The history of one contact (`docs/api-reference.md#history`).

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, ApiResponse, FeedReader, Server};

/// Creates a contact and returns its id. Its history has this many entries, with the first names `0`, `1`, and so on.
async fn create_with_changes(account: &Account, count: usize) -> String {
    let id = account.create(json!({"first_name": "0"})).await;
    for turn in 1..count {
        account.patch(&id, json!({"first_name": format!("{turn}")})).await.expect(200);
        account.create(json!({"first_name": "another"})).await;
    }
    id
}

/// Returns the new first name of each entry of a page.
fn first_names(response: &ApiResponse) -> Vec<&str> {
    let entries = response.body["data"].as_array().unwrap();
    entries.iter().map(|entry| entry["changed"]["first_name"]["new"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn history_is_paged_from_the_newest_entry_to_the_creation() {
    let account = Account::new().await;
    let id = create_with_changes(&account, 5).await;
    let path = format!("/contacts/{id}/history");
    let whole = account.get(&path).await.expect(200);
    assert_eq!((first_names(&whole), &whole.body["next"]), (vec!["4", "3", "2", "1", "0"], &Value::Null));
    let exact = account.get(&format!("{path}?limit=5")).await.expect(200);
    assert_eq!((first_names(&exact).len(), &exact.body["next"]), (5, &Value::Null));
    let (mut after, mut read, mut pages) = (String::new(), vec![], 0);
    loop {
        let page = account.get(&format!("{path}?limit=2{after}")).await.expect(200);
        read.extend_from_slice(page.body["data"].as_array().unwrap());
        pages += 1;
        let Some(next) = page.body["next"].as_str() else { break };
        after = format!("&after={next}");
        // Changes made while paging do not shift the pages.
        account.patch(&id, json!({"first_name": format!("meanwhile {pages}")})).await.expect(200);
    }
    assert_eq!((&read, pages), (whole.body["data"].as_array().unwrap(), 3));
    // The cursor of an entry continues with the next older entry.
    let cursor = read[3]["cursor"].as_str().unwrap();
    let last = account.get(&format!("{path}?after={cursor}")).await.expect(200);
    assert_eq!(first_names(&last), ["0"]);
    assert_eq!(last.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn history_entries_equal_the_feed_entries_of_the_contact() {
    let account = Account::new().await;
    let id = create_with_changes(&account, 3).await;
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let history = account.get(&format!("/contacts/{id}/history")).await.expect(200);
    let feed = FeedReader::read_entire_feed(&account).await;
    let expected: Vec<_> = feed.iter().rev().filter(|entry| entry["contact_id"] == *id).cloned().collect();
    assert_eq!(history.body["data"][0]["type"], "archived");
    assert_eq!(history.body["data"], json!(expected));
}

#[tokio::test]
async fn history_of_a_purged_or_unknown_contact_is_404() {
    let account = Account::new().await;
    let id = create_with_changes(&account, 3).await;
    let cursor = account.get(&format!("/contacts/{id}/history?limit=1")).await.expect(200);
    account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
    let unknown = Uuid::now_v7().to_string();
    for id in [&*id, &*unknown, "x", "changes"] {
        account.get(&format!("/contacts/{id}/history")).await.expect_error(404, "not_found");
    }
    let path = format!("/contacts/{id}/history?after={}", cursor.body["next"].as_str().unwrap());
    account.get(&path).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn malformed_limit_or_cursor_of_another_contact_is_400() {
    let account = Account::new().await;
    let (id, another) = (create_with_changes(&account, 3).await, create_with_changes(&account, 3).await);
    let other_history = account.get(&format!("/contacts/{another}/history?limit=1")).await.expect(200);
    let foreign_feed = Account::new().await.get("/contacts/changes").await.expect(200);
    for cursor in [&other_history.body["next"], &foreign_feed.body["next"], &json!("now"), &json!("")] {
        let path = format!("/contacts/{id}/history?after={}", cursor.as_str().unwrap());
        account.get(&path).await.expect_error(400, "invalid_query").expect_details(&[("after", "invalid_format")]);
    }
    for (id, query) in [(&*id, "limit=0"), (&*id, "limit=1001"), (&*id, "dry_run=true"), ("x", "limit=0")] {
        account.get(&format!("/contacts/{id}/history?{query}")).await.expect_error(400, "invalid_query");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_ends_where_old_entries_were_removed() {
    let account = Account::on_server(&Server::with_own_database("trimmed_history", |_| {}));
    let id = create_with_changes(&account, 6).await;
    let first = account.get(&format!("/contacts/{id}/history?limit=1")).await.expect(200);
    account.server.repository_with_retention(Duration::ZERO).delete_expired_records().await.unwrap();
    account.patch(&id, json!({"first_name": "new"})).await.expect(200);
    account.patch(&id, json!({"first_name": "newer"})).await.expect(200);
    let history = account.get(&format!("/contacts/{id}/history")).await.expect(200);
    assert_eq!((first_names(&history), &history.body["next"]), (vec!["newer", "new"], &Value::Null));
    let path = format!("/contacts/{id}/history?after={}", first.body["next"].as_str().unwrap());
    let rest = account.get(&path).await.expect(200);
    assert_eq!((&rest.body["data"], &rest.body["next"]), (&json!([]), &Value::Null));
}
