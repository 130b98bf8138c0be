//! From where the feed is read, how much of it, and whose entries are left out.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, Answer, Reader, Stopwatch, encoded, token_for};

/// The first names that the entries of a page tell of.
fn names(answer: &Answer) -> Vec<&str> {
    let entries = answer.body["data"].as_array().unwrap();
    entries.iter().map(|entry| entry["changed"]["first_name"]["new"].as_str().unwrap()).collect()
}

fn next(answer: &Answer) -> String {
    answer.body["next"].as_str().expect("next is never null").to_owned()
}

async fn create(account: &Account, names: &[&str]) {
    for name in names {
        account.create(json!({"first_name": name})).await;
    }
}

#[tokio::test]
async fn an_empty_feed_has_a_place_to_go_on_from() {
    let account = Account::new().await;
    for start in ["", "?after=now"] {
        let account = Account::on(&account.server);
        let empty = account.get(&format!("/contacts/changes{start}")).await.expect(200);
        assert_eq!(empty.body["data"], json!([]));
        create(&account, &["A", "B"]).await;
        let page = account.get(&format!("/contacts/changes?after={}", next(&empty))).await.expect(200);
        assert_eq!(names(&page), ["A", "B"]);
        assert_eq!(page.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn goes_on_after_next_and_after_the_cursor_of_any_entry() {
    let account = Account::new().await;
    create(&account, &["A", "B", "C"]).await;
    let page = account.get("/contacts/changes?limit=2").await.expect(200);
    assert_eq!(names(&page), ["A", "B"]);
    let rest = account.get(&format!("/contacts/changes?after={}", next(&page))).await.expect(200);
    assert_eq!(names(&rest), ["C"]);
    let end = account.get(&format!("/contacts/changes?after={}", next(&rest))).await.expect(200);
    assert_eq!((names(&end), next(&end)), (vec![], next(&rest)));
    let cursor = page.body["data"][0]["cursor"].as_str().unwrap();
    let after_first = account.get(&format!("/contacts/changes?limit=1&after={cursor}")).await.expect(200);
    assert_eq!((names(&after_first), &after_first.body["data"][0]["cursor"]), (vec!["B"], &json!(next(&after_first))));
    let now = account.get("/contacts/changes?after=now&limit=1").await.expect(200);
    assert_eq!((names(&now), next(&now)), (vec![], next(&end)));
}

#[tokio::test]
async fn shows_a_hundred_entries_or_as_many_as_asked_for() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..1_000).map(|index| json!({"fields": {"first_name": format!("{index}")}})).collect();
    account.post("/contacts/batch/create", json!({"inputs": inputs})).await.expect(200);
    create(&account, &["last"]).await;
    for (limit, expected) in [("", 100), ("?limit=1", 1), ("?limit=999", 999), ("?limit=1000", 1_000)] {
        let page = account.get(&format!("/contacts/changes{limit}")).await.expect(200);
        assert_eq!(names(&page), (0..expected).map(|index| index.to_string()).collect::<Vec<_>>(), "{limit}");
    }
}

#[tokio::test]
async fn refuses_what_is_malformed_and_says_all_of_it() {
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
        ("dry_run=true", &[("dry_run", "invalid_format")]),
    ] {
        let answer = account.get(&format!("/contacts/changes?{parameters}")).await;
        answer.expect_error(400, "invalid_query").expect_details(expected);
    }
    account.get("/contacts/changes?unknown=1").await.expect(200);
    account.call("POST", "/contacts/changes").send().await.expect_error(405, "method_not_allowed");
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_tenant_and_feed_only() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    create(&owner, &["A"]).await;
    create(&stranger, &["A"]).await;
    let mut foreign = vec![next(&owner.get("/contacts/changes").await.expect(200))];
    let empty = Account::new().await;
    foreign.push(next(&empty.get("/contacts/changes").await.expect(200)));
    let list = stranger.get("/contacts?limit=1").await.expect(200);
    foreign.extend(list.body["pagination"]["next"].as_str().map(str::to_owned));
    foreign.push("AAAA".to_owned());
    foreign.push(Uuid::now_v7().to_string());
    for cursor in foreign {
        let answer = stranger.get(&format!("/contacts/changes?after={cursor}")).await;
        answer.expect_error(400, "invalid_query").expect_details(&[("after", "invalid_format")]);
    }
}

#[tokio::test]
async fn leaves_out_the_writes_of_one_actor() {
    let account = Account::new().await;
    let nobody = account.with_token(token_for(account.id, None));
    let other = account.with_token(token_for(account.id, Some("other & co/ü")));
    let id = account.create(json!({"first_name": "tester"})).await;
    nobody.patch(&id, json!({"first_name": "nobody"})).await.expect(200);
    other.patch(&id, json!({"first_name": "other"})).await.expect(200);
    let all = next(&account.get("/contacts/changes").await.expect(200));
    for (caller, exclude, expected) in [
        (&account, "me", ["nobody", "other"]),
        (&nobody, "me", ["tester", "other"]),
        (&other, "me", ["tester", "nobody"]),
        (&nobody, "tester", ["nobody", "other"]),
        (&account, "other & co/ü", ["tester", "nobody"]),
    ] {
        let page = caller.get(&format!("/contacts/changes?exclude_actor={}", encoded(exclude))).await.expect(200);
        assert_eq!(names(&page), expected, "{exclude}");
        assert_eq!(next(&page), all, "moves past what was left out");
        let paged = caller.get(&format!("/contacts/changes?limit=1&exclude_actor={}", encoded(exclude))).await;
        let rest = format!("/contacts/changes?after={}&exclude_actor={}", next(&paged), encoded(exclude));
        assert_eq!([names(&paged), names(&caller.get(&rest).await.expect(200))].concat(), expected);
    }
    let page = account.get("/contacts/changes?exclude_actor=no-one-we-know").await.expect(200);
    assert_eq!(names(&page).len(), 3);
}

/// Adds entries of this actor behind the API.
async fn add_entries(account: &Account, actor: &str, count: i64) {
    const ADD: &str = "WITH a AS (UPDATE accounts SET last_position = last_position + $2 WHERE account_id = $1 RETURNING last_position) \
         INSERT INTO changes SELECT $1, last_position - $2 + n, gen_random_uuid(), 0, 'updated', $3, now(), '{}' \
         FROM a, generate_series(1, $2) AS n";
    let mut database = account.database().await;
    sqlx::query(ADD).bind(account.id).bind(count).bind(actor).execute(&mut database).await.unwrap();
}

#[tokio::test]
async fn moves_past_any_number_of_entries_that_are_left_out() {
    let account = Account::new().await;
    create(&account, &["A"]).await;
    add_entries(&account, "echo", 12_345).await;
    create(&account, &["B"]).await;
    add_entries(&account, "echo", 5_000).await;
    let mut reader = Reader::default();
    for _ in 0..6 {
        reader.read(&account, "limit=1&exclude_actor=echo").await;
    }
    assert_eq!(reader.entries.len(), 2);
    assert_eq!(reader.next, Some(next(&account.get("/contacts/changes?after=now").await.expect(200))));
    // One who waits is not held up by them.
    let started = Stopwatch::start();
    let first = reader.entries[0]["cursor"].as_str().unwrap();
    let page = account.get(&format!("/contacts/changes?wait=20&exclude_actor=echo&after={first}")).await.expect(200);
    assert_eq!(names(&page), ["B"]);
    assert!(started.elapsed().as_millis() < 1_000, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_value_that_is_spelt_like_the_route_is_reached_by_its_property() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A", "external_id": "changes"})).await;
    let found = account.get("/contacts/changes?id_property=external_id").await.expect(200);
    assert_eq!(found.body["external_id"], "changes");
    let feed: Value = account.get("/contacts/%63hanges").await.expect(200).body;
    assert_eq!(feed["data"].as_array().unwrap().len(), 1);
}
