//! Search over many results: cursor paging returns each result once at any depth.

use std::collections::HashSet;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Account, Server};

const CONTACTS: usize = 200_000;
const INSERT_CONTACTS: &str = "INSERT INTO contacts (account_id, id, version, last_name, created_at, updated_at) \
                    SELECT 'ACCOUNT', gen_random_uuid(), 1, 'N' || n % 1000, now(), now() FROM generate_series(1, 200000) n";

#[tokio::test]
async fn search_returns_each_of_200_000_results_once() {
    let account = Account::on_server(&Server::with_own_database("large", |_| {}));
    let insert = INSERT_CONTACTS.replace("ACCOUNT", &account.id.to_string());
    let mut database = account.database().await;
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut database).await.unwrap();
    sqlx::raw_sql("ANALYZE contacts").execute(&mut database).await.unwrap();
    let (mut seen, mut after) = (HashSet::with_capacity(CONTACTS), Value::Null);
    loop {
        let filter = json!({"property": "last_name", "operator": "starts_with", "value": "n"});
        let body = json!({"filters": [filter], "limit": 100, "after": after});
        let page = account.post("/contacts/search", body).await.expect(200);
        for contact in page.body["data"].as_array().unwrap() {
            assert!(seen.insert(contact["id"].as_str().unwrap().to_owned()), "returned twice: {contact}");
        }
        after = page.body["pagination"]["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(seen.len(), CONTACTS);
}
