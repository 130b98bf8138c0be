//! `Link: <…>; rel="next"` on lists, the change feed and histories.

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse};

/// Returns the target of the link to the next page; an empty text without a link.
fn next_link(response: &ApiResponse) -> String {
    let target = response.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
    target.unwrap_or_default().to_owned()
}

/// Follows the links from a page to the last one, or to an empty one. Returns the values of `member` of all items.
async fn follow_links(account: &Account, first: &str, member: &str) -> Vec<Value> {
    let (mut values, mut path) = (vec![], first.to_owned());
    while !path.is_empty() {
        let page = account.get(&path).await.expect(200);
        let items = page.body["data"].as_array().unwrap();
        if items.is_empty() {
            break;
        }
        values.extend(items.iter().map(|item| item[member].clone()));
        path = next_link(&page);
    }
    values
}

#[tokio::test]
async fn links_lead_through_all_pages_with_all_parameters() {
    let account = Account::new().await;
    let names: Vec<_> = (0..5).map(|number| format!("n{number}")).collect();
    for name in &names {
        account.create(json!({"first_name": name, "job_title": name})).await;
    }
    let list = follow_links(&account, "/contacts?limit=2&properties=job_title", "job_title").await;
    assert_eq!(list, names);
    assert_eq!(follow_links(&account, "/contacts?offset=1&limit=2", "first_name").await, names[1..]);
    let feed = "/contacts/changes?limit=2&exclude_actor=nobody&since=2020-01-01T00:00:00Z";
    assert_eq!(follow_links(&account, feed, "type").await, ["created"; 5]);
    let id = account.get("/contacts").await.body["data"][0]["id"].as_str().unwrap().to_owned();
    for turn in 0..4 {
        account.patch(&id, json!({"last_name": format!("{turn}")})).await.expect(200);
    }
    let path = format!("/contacts/{id}/history?limit=3&properties=last_name");
    assert_eq!(follow_links(&account, &path, "properties").await, vec![json!({"last_name": "3"}); 5]);
}

#[tokio::test]
async fn last_page_has_no_link_and_the_feed_always_has_one() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A"})).await;
    let list = account.get("/contacts").await.expect(200);
    assert_eq!(list.header("link"), "");
    let feed = account.get("/contacts/changes?wait=0&after=now").await.expect(200);
    let next = feed.body["next"].as_str().unwrap();
    assert_eq!(next_link(&feed), format!("/contacts/changes?wait=0&after={next}"));
    let id = list.body["data"][0]["id"].as_str().unwrap();
    assert_eq!(account.get(&format!("/contacts/{id}/history")).await.expect(200).header("link"), "");
}
