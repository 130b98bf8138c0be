//! `POST /contacts/search`

mod cursors;
mod filters;
mod large;
mod model;
mod refusals;
mod sorts;
mod texts;
mod times;

use serde_json::{Value, json};

use crate::support::{Account, Answer};

/// A search that is answered.
async fn search(account: &Account, body: Value) -> Answer {
    account.post("/contacts/search", body).await.expect(200)
}

/// The first names of the contacts that a search finds, in its order.
async fn names(account: &Account, body: Value) -> Vec<String> {
    shown(&search(account, body).await)
}

fn shown(answer: &Answer) -> Vec<String> {
    let contacts = answer.body["data"].as_array().unwrap().iter();
    contacts.map(|contact| contact["first_name"].as_str().unwrap_or("-").to_owned()).collect()
}

/// The first names of the contacts that one filter finds, in order of creation, joined by blanks.
async fn found(account: &Account, property: &str, operator: &str, value: Value) -> String {
    let mut filter = json!({"property": property, "operator": operator, "value": value});
    if operator.starts_with("has_") {
        filter.as_object_mut().unwrap().remove("value");
    }
    names(account, json!({"filters": [filter], "limit": 100})).await.join(" ")
}

/// An account with a custom field of every type, named after it.
async fn account_with_every_type() -> Account {
    let account = Account::new().await;
    for kind in ["text", "email", "phone", "url", "number", "checkbox", "date", "datetime", "user"] {
        account.define(json!({"internal_name": format!("a_{kind}"), "label": kind, "type": kind})).await;
    }
    let options = ["zinc", "iron", "gold"].map(|name| json!({"internal_name": name, "label": name}));
    for kind in ["dropdown", "multi_select"] {
        account
            .define(json!({"internal_name": format!("a_{kind}"), "label": kind, "type": kind, "options": options}))
            .await;
    }
    account
}
