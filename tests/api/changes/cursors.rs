//! The query parameters of the change feed: `after`, `limit` and `exclude_actor`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, ApiResponse, FeedReader, Stopwatch, percent_encoded, token_for};

/// Returns the new first name of each entry of a page.
fn first_names(response: &ApiResponse) -> Vec<&str> {
    let entries = response.body["data"].as_array().unwrap();
    entries.iter().map(|entry| entry["changed"]["first_name"]["new"].as_str().unwrap()).collect()
}

fn next_cursor(response: &ApiResponse) -> String {
    response.body["next"].as_str().expect("next is never null").to_owned()
}

async fn create_contacts(account: &Account, names: &[&str]) {
    for name in names {
        account.create(json!({"first_name": name})).await;
    }
}

#[tokio::test]
async fn empty_feed_returns_a_cursor_from_which_later_entries_are_read() {
    let account = Account::new().await;
    for start in ["", "?after=now"] {
        let account = Account::on_server(&account.server);
        let empty = account.get(&format!("/contacts/changes{start}")).await.expect(200);
        assert_eq!(empty.body["data"], json!([]));
        create_contacts(&account, &["A", "B"]).await;
        let page = account.get(&format!("/contacts/changes?after={}", next_cursor(&empty))).await.expect(200);
        assert_eq!(first_names(&page), ["A", "B"]);
        assert_eq!(page.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn feed_continues_after_next_and_after_the_cursor_of_any_entry() {
    let account = Account::new().await;
    create_contacts(&account, &["A", "B", "C"]).await;
    let page = account.get("/contacts/changes?limit=2").await.expect(200);
    assert_eq!(first_names(&page), ["A", "B"]);
    let rest = account.get(&format!("/contacts/changes?after={}", next_cursor(&page))).await.expect(200);
    assert_eq!(first_names(&rest), ["C"]);
    let end = account.get(&format!("/contacts/changes?after={}", next_cursor(&rest))).await.expect(200);
    assert_eq!((first_names(&end), next_cursor(&end)), (vec![], next_cursor(&rest)));
    let cursor = page.body["data"][0]["cursor"].as_str().unwrap();
    let after_first = account.get(&format!("/contacts/changes?limit=1&after={cursor}")).await.expect(200);
    assert_eq!(
        (first_names(&after_first), &after_first.body["data"][0]["cursor"]),
        (vec!["B"], &json!(next_cursor(&after_first)))
    );
    let now = account.get("/contacts/changes?after=now&limit=1").await.expect(200);
    assert_eq!((first_names(&now), next_cursor(&now)), (vec![], next_cursor(&end)));
}

#[tokio::test]
async fn page_has_100_entries_by_default_and_limit_entries_otherwise() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..1_000).map(|index| json!({"fields": {"first_name": format!("{index}")}})).collect();
    account.post("/contacts/batch/create", json!({"inputs": inputs})).await.expect(200);
    create_contacts(&account, &["last"]).await;
    for (limit, expected) in [("", 100), ("?limit=1", 1), ("?limit=999", 999), ("?limit=1000", 1_000)] {
        let page = account.get(&format!("/contacts/changes{limit}")).await.expect(200);
        assert_eq!(first_names(&page), (0..expected).map(|index| index.to_string()).collect::<Vec<_>>(), "{limit}");
    }
}

#[tokio::test]
async fn malformed_parameters_are_400_with_all_problems_listed() {
    let account = Account::new().await;
    for (parameters, expected) in [
        ("limit=0", &[("limit", "out_of_range")][..]),
        ("limit=1001", &[("limit", "out_of_range")]),
        ("limit=ten&wait=31", &[("limit", "invalid_format"), ("wait", "out_of_range")]),
        ("wait=-1", &[("wait", "invalid_format")]),
        ("wait=1.5", &[("wait", "invalid_format")]),
        ("after=", &[("after", "invalid_format")]),
        ("after=NOW", &[("after", "invalid_format")]),
        ("after=1&exclude_actor=", &[("after", "invalid_format"), ("exclude_actor", "required")]),
        ("exclude_actor=a%00b", &[("exclude_actor", "invalid_format")]),
        ("exclude_actor=me&exclude_actor=you", &[("exclude_actor", "invalid_format")]),
        ("dry_run=true", &[("dry_run", "unknown_parameter")]),
        ("unknown=1&limit=0", &[("unknown", "unknown_parameter"), ("limit", "out_of_range")]),
    ] {
        let response = account.get(&format!("/contacts/changes?{parameters}")).await;
        response.expect_error(400, "invalid_query").expect_details(expected);
    }
    account.call("POST", "/contacts/changes").send().await.expect_error(405, "method_not_allowed");
}

#[tokio::test]
async fn cursor_of_another_account_or_another_list_is_400() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    create_contacts(&owner, &["A"]).await;
    create_contacts(&stranger, &["A"]).await;
    let mut foreign = vec![next_cursor(&owner.get("/contacts/changes").await.expect(200))];
    let empty = Account::new().await;
    foreign.push(next_cursor(&empty.get("/contacts/changes").await.expect(200)));
    let list = stranger.get("/contacts?limit=1").await.expect(200);
    foreign.extend(list.body["pagination"]["next"].as_str().map(str::to_owned));
    foreign.push("AAAA".to_owned());
    foreign.push(Uuid::now_v7().to_string());
    for cursor in foreign {
        let response = stranger.get(&format!("/contacts/changes?after={cursor}")).await;
        response.expect_error(400, "invalid_query").expect_details(&[("after", "invalid_format")]);
    }
}

#[tokio::test]
async fn exclude_actor_omits_the_entries_of_that_actor() {
    let account = Account::new().await;
    let without_actor = account.with_token(token_for(account.id, None));
    let other = account.with_token(token_for(account.id, Some("other & co/ü")));
    let id = account.create(json!({"first_name": "tester"})).await;
    without_actor.patch(&id, json!({"first_name": "nobody"})).await.expect(200);
    other.patch(&id, json!({"first_name": "other"})).await.expect(200);
    let end = next_cursor(&account.get("/contacts/changes").await.expect(200));
    for (caller, exclude, expected) in [
        (&account, "me", ["nobody", "other"]),
        (&without_actor, "me", ["tester", "other"]),
        (&other, "me", ["tester", "nobody"]),
        (&without_actor, "tester", ["nobody", "other"]),
        (&account, "other & co/ü", ["tester", "nobody"]),
    ] {
        let page =
            caller.get(&format!("/contacts/changes?exclude_actor={}", percent_encoded(exclude))).await.expect(200);
        assert_eq!(first_names(&page), expected, "{exclude}");
        assert_eq!(next_cursor(&page), end, "next moves past excluded entries");
        let paged = caller.get(&format!("/contacts/changes?limit=1&exclude_actor={}", percent_encoded(exclude))).await;
        let rest =
            format!("/contacts/changes?after={}&exclude_actor={}", next_cursor(&paged), percent_encoded(exclude));
        assert_eq!([first_names(&paged), first_names(&caller.get(&rest).await.expect(200))].concat(), expected);
    }
    let page = account.get("/contacts/changes?exclude_actor=no-one-we-know").await.expect(200);
    assert_eq!(first_names(&page).len(), 3);
}

/// Inserts entries of this actor directly into the database.
async fn insert_entries(account: &Account, actor: &str, count: i64) {
    const INSERT: &str = "WITH a AS (SELECT max(position) AS last FROM changes WHERE account_id = $1) \
         INSERT INTO changes SELECT $1, last + n, gen_random_uuid(), 0, 'updated', $3, now(), '{}' \
         FROM a, generate_series(1, $2) AS n";
    let mut database = account.database().await;
    sqlx::query(INSERT).bind(account.id).bind(count).bind(actor).execute(&mut database).await.unwrap();
}

#[tokio::test]
async fn next_moves_past_any_number_of_excluded_entries() {
    let account = Account::new().await;
    create_contacts(&account, &["A"]).await;
    insert_entries(&account, "echo", 12_345).await;
    create_contacts(&account, &["B"]).await;
    insert_entries(&account, "echo", 5_000).await;
    let mut reader = FeedReader::default();
    for _ in 0..6 {
        reader.read(&account, "limit=1&exclude_actor=echo").await;
    }
    assert_eq!(reader.entries.len(), 2);
    assert_eq!(reader.next, Some(next_cursor(&account.get("/contacts/changes?after=now").await.expect(200))));
    // A long poll does not wait when an entry follows the excluded ones.
    let started = Stopwatch::start();
    let first = reader.entries[0]["cursor"].as_str().unwrap();
    let page = account.get(&format!("/contacts/changes?wait=20&exclude_actor=echo&after={first}")).await.expect(200);
    assert_eq!(first_names(&page), ["B"]);
    assert!(started.elapsed().as_millis() < 1_000, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn contact_with_external_id_changes_is_reached_by_id_property() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A", "external_id": "changes"})).await;
    let found = account.get("/contacts/changes?id_property=external_id").await.expect(200);
    assert_eq!(found.body["external_id"], "changes");
    let feed: Value = account.get("/contacts/%63hanges").await.expect(200).body;
    assert_eq!(feed["data"].as_array().unwrap().len(), 1);
}
