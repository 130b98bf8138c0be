//! Many new rows are copied into the database, a few are inserted: what is stored is the same.

use serde_json::{Value, json};

use super::expect_summary;
use crate::support::{Account, Reader};

/// From how many rows on they are copied.
const MANY: usize = 200;
/// How many contacts have fewer keys than that.
const FEW: usize = 40;

/// An account with custom fields of every type, three of them unique.
async fn account() -> Account {
    let account = Account::new().await;
    let options = json!([{"label": "Red"}, {"label": "Blue"}]);
    for (kind, is_unique) in [("text", true), ("number", true), ("url", true), ("email", false), ("phone", false)] {
        account.define(json!({"label": format!("My {kind}"), "type": kind, "unique": is_unique})).await;
    }
    for kind in ["date", "datetime", "checkbox"] {
        account.define(json!({"label": format!("My {kind}"), "type": kind})).await;
    }
    for kind in ["dropdown", "multi_select"] {
        account.define(json!({"label": format!("My {kind}"), "type": kind, "options": options})).await;
    }
    account
}

/// A contact that has every value, each another; or only what it needs.
fn input(number: usize) -> Value {
    if number % 4 == 3 {
        return json!({"fields": {"external_id": format!("x{number:03}"), "last_name": "Alone"}});
    }
    json!({"fields": {
        "external_id": format!("x{number:03}"),
        "email": format!("Person{number}@example.com"),
        "first_name": format!("Ada \\N \t \u{1f469} {number}"),
        "last_name": format!("Lovelace {number}"),
        "contact_owner": format!("owner{number}@example.com"),
        "phone": format!("+4930{number:04}1"),
        "mobile_phone": format!("+4930{number:04}2"),
        "job_title": format!("title {number}"),
        "company_name": format!("company {number}"),
        "website": format!("https://example.com/{number}"),
        "my_text": format!("text {number}"),
        "my_number": number as f64 + 0.5,
        "my_url": format!("https://example.org/{number}"),
        "my_email": format!("other{number}@example.com"),
        "my_phone": format!("+4930{number:04}3"),
        "my_date": "2024-02-29",
        "my_datetime": "2026-05-01T12:00:00.123Z",
        "my_checkbox": number.is_multiple_of(2),
        "my_dropdown": "red",
        "my_multi_select": ["blue", "red"],
    }})
}

/// Creates contacts, so many at a time. Returns what is stored of them, but for what no two accounts have in common.
async fn stored(count: usize, at_a_time: usize) -> (Vec<String>, Vec<Value>) {
    let account = account().await;
    let inputs: Vec<_> = (0..count).map(input).collect();
    for inputs in inputs.chunks(at_a_time) {
        expect_summary(&account.batch("create", json!({"inputs": inputs})).await, inputs.len(), 0);
    }
    let rows = "WITH own AS (SELECT * FROM contacts WHERE account_id = $1) \
                SELECT 'contact ' || (to_jsonb(c) - '{account_id, id, created_at, updated_at}'::text[] \
                       || jsonb_build_object('is_new', c.created_at = c.updated_at, 'is_now', c.created_at > now() - interval '1 hour'))::text \
                FROM own c \
                UNION ALL SELECT 'key ' || c.external_id || (to_jsonb(k) - '{account_id, contact_id}'::text[])::text \
                FROM own c JOIN contact_keys k USING (account_id) WHERE k.contact_id = c.id \
                UNION ALL SELECT 'change ' || c.external_id || (to_jsonb(h) - '{account_id, contact_id, at}'::text[] \
                       || jsonb_build_object('is_then', h.at = c.created_at))::text \
                FROM own c JOIN changes h USING (account_id) WHERE h.contact_id = c.id \
                ORDER BY 1";
    let rows = sqlx::query_scalar(rows).bind(account.id).fetch_all(&mut account.database().await).await.unwrap();
    let mut entries = Reader::all_of(&account).await;
    for entry in &mut entries {
        let entry = entry.as_object_mut().unwrap();
        assert!(["contact_id", "at", "cursor"].iter().all(|name| entry.remove(*name).is_some()));
    }
    (rows, entries)
}

#[tokio::test]
async fn many_rows_are_stored_as_a_few_are() {
    let (few, few_told) = stored(MANY, FEW).await;
    // Each contact has a row, an entry, and a key; most have four keys more.
    assert_eq!((few.len(), few_told.len()), (MANY * 3 + MANY / 4 * 3 * 4, MANY));
    assert!(
        few.iter().any(|row| row.contains("\"website\": null")) && few.iter().any(|row| row.contains("company 10"))
    );
    let (many, many_told) = stored(MANY, MANY).await;
    assert_eq!(many, few);
    assert_eq!(many_told, few_told);
    // One less, and its contacts are inserted, while their keys are copied.
    let (mixed, mixed_told) = stored(MANY - 1, MANY - 1).await;
    let last = format!("x{:03}", MANY - 1);
    let few: Vec<_> = few.into_iter().filter(|row| !row.contains(&last)).collect();
    assert_eq!((mixed, &mixed_told[..]), (few, &few_told[..MANY - 1]));
}
