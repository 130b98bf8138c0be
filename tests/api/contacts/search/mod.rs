//! `POST /contacts/search`

mod cursors;
mod filters;
mod index;
mod index_equivalence;
mod invalid_requests;
mod large_results;
mod reference;
mod sorts;
mod text_matching;
mod timeout;

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse};

/// Sends a search that has to succeed.
async fn search(account: &Account, body: Value) -> ApiResponse {
    account.post("/contacts/search", body).await.expect(200)
}

/// Returns the first names of the contacts on the first page of a search, in its order.
async fn search_names(account: &Account, body: Value) -> Vec<String> {
    first_names(&search(account, body).await)
}

/// Returns the first names of the contacts in a response, or `-` for contacts without one.
fn first_names(response: &ApiResponse) -> Vec<String> {
    let contacts = response.body["data"].as_array().unwrap().iter();
    contacts.map(|contact| contact["first_name"].as_str().unwrap_or("-").to_owned()).collect()
}

/// Searches with one filter. Returns the first names of the contacts in order of creation, separated by spaces.
async fn search_by_filter(account: &Account, property: &str, operator: &str, value: Value) -> String {
    let mut filter = json!({"property": property, "operator": operator, "value": value});
    if operator.starts_with("has_") {
        filter.as_object_mut().unwrap().remove("value");
    }
    search_names(account, json!({"filters": [filter], "limit": 100})).await.join(" ")
}

/// Creates an account with a custom field of every type, named after its type, such as `a_text`.
async fn account_with_every_type() -> Account {
    let account = Account::new().await;
    for field_type in ["text", "email", "phone", "url", "number", "checkbox", "date", "datetime", "user"] {
        account
            .define(json!({"internal_name": format!("a_{field_type}"), "label": field_type, "type": field_type}))
            .await;
    }
    let options = ["zinc", "iron", "gold"].map(|name| json!({"internal_name": name, "label": name}));
    for field_type in ["dropdown", "multi_select"] {
        account
            .define(json!({
                "internal_name": format!("a_{field_type}"), "label": field_type, "type": field_type, "options": options,
            }))
            .await;
    }
    account
}
