//! `POST /contacts/batch/{create|read|update|upsert|archive}`

mod actions;
mod atomic;
mod concurrent;
mod envelope;
mod inputs;
mod order;
mod stored;

use serde_json::{Value, json};

use crate::support::Answer;

/// The status of each result.
fn statuses(answer: &Answer) -> Vec<u64> {
    answer.body["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

/// The contact that an input's result shows.
fn contact(answer: &Answer, index: usize) -> &Value {
    &answer.body["results"][index]["contact"]
}

/// The code of the error of an input.
fn code(answer: &Answer, index: usize) -> &Value {
    &answer.body["results"][index]["error"]["code"]
}

/// Checks the summary, and that the status of the whole fits to it.
#[track_caller]
fn expect_summary(answer: &Answer, total: usize, failed: usize) {
    assert_eq!(answer.status, if failed == 0 { 200 } else { 207 }, "{}", answer.text);
    assert_eq!(answer.body["summary"], json!({"total": total, "succeeded": total - failed, "failed": failed}));
    for result in answer.body["results"].as_array().unwrap() {
        let is_good = result["status"].as_u64().unwrap() < 300;
        assert_eq!((result.get("contact").is_some(), result.get("error").is_some()), (is_good, !is_good), "{result}");
    }
}
