//! The service writes many new rows with COPY and few with INSERT. Both store the same rows.

use serde_json::{Value, json};

use super::expect_summary;
use crate::support::{Account, FeedReader};

/// The number of rows from which the service uses COPY.
const COPY_MIN_ROWS: usize = 200;
/// A batch whose contacts have fewer than [`COPY_MIN_ROWS`] keys together, so the service inserts all its rows.
const SMALL_BATCH: usize = 40;

/// Creates an account with custom fields of every type, three of them unique.
async fn account_with_every_type() -> Account {
    let account = Account::new().await;
    let options = json!([{"label": "Red"}, {"label": "Blue"}]);
    for (field_type, is_unique) in [("text", true), ("number", true), ("url", true), ("email", false), ("phone", false)]
    {
        account.define(json!({"label": format!("My {field_type}"), "type": field_type, "unique": is_unique})).await;
    }
    for field_type in ["date", "datetime", "checkbox"] {
        account.define(json!({"label": format!("My {field_type}"), "type": field_type})).await;
    }
    for field_type in ["dropdown", "multi_select"] {
        account.define(json!({"label": format!("My {field_type}"), "type": field_type, "options": options})).await;
    }
    account.number_fields().await;
    account
}

/// Returns the input for the contact of this number: a value in every field, or two values in every fourth contact.
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

/// Creates `count` contacts in batches of `batch_size`. Returns the stored rows and the entries of the change feed.
///
/// Leaves out the values that differ between accounts: ids, random tags, times and cursors.
async fn create_and_read_stored(count: usize, batch_size: usize) -> (Vec<String>, Vec<Value>) {
    let account = account_with_every_type().await;
    let inputs: Vec<_> = (0..count).map(input).collect();
    for inputs in inputs.chunks(batch_size) {
        expect_summary(&account.batch("create", json!({"inputs": inputs})).await, inputs.len(), 0);
    }
    let rows = "WITH own AS (SELECT * FROM contacts WHERE account_id = $1) \
                SELECT 'contact ' || (to_jsonb(c) - '{account_id, id, tag, created_at, updated_at}'::text[] \
                       || jsonb_build_object('is_new', c.tag IS NOT NULL AND c.created_at = c.updated_at, 'is_now', c.created_at > now() - interval '1 hour'))::text \
                FROM own c \
                UNION ALL SELECT 'key ' || c.external_id || (to_jsonb(k) - '{account_id, contact_id}'::text[])::text \
                FROM own c JOIN contact_keys k USING (account_id) WHERE k.contact_id = c.id \
                UNION ALL SELECT 'change ' || c.external_id || (to_jsonb(h) - '{account_id, contact_id, at}'::text[] \
                       || jsonb_build_object('is_then', h.at = c.created_at))::text \
                FROM own c JOIN changes h USING (account_id) WHERE h.contact_id = c.id \
                ORDER BY 1";
    let rows = sqlx::query_scalar(rows).bind(account.id).fetch_all(&mut account.database().await).await.unwrap();
    let mut entries = FeedReader::read_entire_feed(&account).await;
    for entry in &mut entries {
        let entry = entry.as_object_mut().unwrap();
        assert!(["contact_id", "at", "cursor"].iter().all(|name| entry.remove(*name).is_some()));
    }
    (rows, entries)
}

#[tokio::test]
async fn rows_written_by_copy_equal_rows_written_by_insert() {
    let (inserted, inserted_entries) = create_and_read_stored(COPY_MIN_ROWS, SMALL_BATCH).await;
    // Each contact has a row, a feed entry and a key. Three of four contacts have four more keys.
    assert_eq!(
        (inserted.len(), inserted_entries.len()),
        (COPY_MIN_ROWS * 3 + COPY_MIN_ROWS / 4 * 3 * 4, COPY_MIN_ROWS)
    );
    assert!(
        inserted.iter().any(|row| row.contains("\"website\": null"))
            && inserted.iter().any(|row| row.contains("company 10"))
    );
    let (copied, copied_entries) = create_and_read_stored(COPY_MIN_ROWS, COPY_MIN_ROWS).await;
    assert_eq!(copied, inserted);
    assert_eq!(copied_entries, inserted_entries);
    // With one contact less, the service inserts the contacts but still copies their more numerous keys.
    let (mixed, mixed_entries) = create_and_read_stored(COPY_MIN_ROWS - 1, COPY_MIN_ROWS - 1).await;
    let last = format!("x{:03}", COPY_MIN_ROWS - 1);
    let inserted: Vec<_> = inserted.into_iter().filter(|row| !row.contains(&last)).collect();
    assert_eq!((mixed, &mixed_entries[..]), (inserted, &inserted_entries[..COPY_MIN_ROWS - 1]));
}
