//! `POST /contacts/batch/{create|read|update|upsert|archive}`

mod actions;
mod atomic;
mod bulk_insert;
mod concurrency;
mod if_match;
mod input_errors;
mod input_order;
mod large_contacts;
mod references;
mod request_errors;

use serde_json::{Value, json};

use crate::support::ApiResponse;

/// Returns the status of each result.
fn result_statuses(response: &ApiResponse) -> Vec<u64> {
    response.body["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

/// Returns the contact in the result of an input.
fn result_contact(response: &ApiResponse, index: usize) -> &Value {
    &response.body["results"][index]["contact"]
}

/// Returns the error code in the result of an input.
fn error_code(response: &ApiResponse, index: usize) -> &Value {
    &response.body["results"][index]["error"]["code"]
}

/// Checks the summary, that the status of the response fits it, and that each result has a contact or an error.
#[track_caller]
fn expect_summary(response: &ApiResponse, total: usize, failed: usize) {
    assert_eq!(response.status, if failed == 0 { 200 } else { 207 }, "{}", response.text);
    assert_eq!(response.body["summary"], json!({"total": total, "succeeded": total - failed, "failed": failed}));
    for result in response.body["results"].as_array().unwrap() {
        let is_success = result["status"].as_u64().unwrap() < 300;
        assert_eq!(
            (result.get("contact").is_some(), result.get("error").is_some()),
            (is_success, !is_success),
            "{result}"
        );
    }
}
