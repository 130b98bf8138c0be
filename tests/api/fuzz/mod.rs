//! Hostile requests: every route of the document, with what the corpora of `fuzz/` hold, changed by chance, in its path,
//! its query, its headers and its body. Never a 5xx, always the one shape of errors, and the service goes on.

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/mutator.rs"]
mod mutator;
mod request;
mod route;

use std::panic::{AssertUnwindSafe, catch_unwind};

use contacts::fields::Kind;
use serde_json::json;

use crate::support::{Account, Answer, CUT_OFF, Dice, at_once, token_for};
use request::{Known, Maker, Request};
use route::Route;

/// So many as take a few seconds in a debug build.
const EXECUTIONS: u64 = 1_200;
const CALLERS: u64 = 4;
/// After so many requests a caller begins anew: much of what they name is gone by then.
const REQUESTS_OF_AN_ACCOUNT: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_breaks_the_service() {
    let (count, seed) = (mutator::executions(EXECUTIONS) / CALLERS, mutator::seed());
    let answers = at_once((0..CALLERS).map(|caller| call(seed * CALLERS + caller, count))).await;
    let [good, refused] = [0, 1].map(|kind| answers.iter().map(|counts| counts[kind]).sum::<u64>());
    println!("{good} requests were served, {refused} refused");
    // Else the requests are too wild to get anywhere.
    assert!(good > refused / 10);
    let next = Account::new().await;
    let id = next.create(json!({"first_name": "Ada"})).await;
    next.get(&format!("/contacts/{id}")).await.expect(200);
}

/// Sends so many requests, one after another. Returns how many were served, and how many refused.
async fn call(seed: u64, count: u64) -> [u64; 2] {
    let (routes, mut maker) = (Route::all(), Maker::new(seed));
    let (mut account, mut known) = furnished().await;
    let mut counts = [0, 0];
    for number in 1..=count {
        if number % REQUESTS_OF_AN_ACCOUNT == 0 {
            (account, known) = furnished().await;
        }
        let route = &routes[usize::try_from(number).unwrap() % routes.len()];
        let request = maker.request(route, &known);
        let answer = request.send(&account).await;
        counts[usize::from(answer.status >= 400)] += 1;
        expect_in_order(&request, answer);
    }
    counts
}

/// An account with a field of every type and two contacts, and what requests can name of it.
async fn furnished() -> (Account, Known) {
    let account = Account::new().await;
    for kind in Kind::CUSTOM {
        let mut definition = json!({"label": format!("my_{}", kind.as_str()), "type": kind.as_str()});
        if kind.has_options() {
            definition["options"] = ["red", "green", "blue"].map(|name| json!({"label": name})).into();
        }
        account.define(definition).await;
    }
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    account.define(json!({"label": "serial", "type": "number", "unique": true})).await;
    let ada = json!({"fields": {"email": "ada@example.com", "external_id": "crm-1", "badge": "B-1", "serial": 1}});
    let ada = account.post("/contacts", ada).await.expect(201);
    let other = account.create(json!({"first_name": "Grace", "my_multi_select": ["red"], "my_number": 1.5})).await;
    let feed = account.get("/contacts/changes?limit=1").await.expect(200).body["next"].as_str().unwrap().to_owned();
    let list =
        account.get("/contacts?limit=1").await.expect(200).body["pagination"]["next"].as_str().unwrap().to_owned();
    let known = Known {
        token: token_for(account.id, Some("tester")),
        segments: vec![ada.id(), other, "ada@example.com".into(), "crm-1".into(), "my_text".into(), "badge".into()],
        cursors: vec![feed, list],
        tag: ada.etag(),
    };
    (account, known)
}

/// Whatever was asked, it is answered, and a refusal is in the one shape.
fn expect_in_order(request: &Request, answer: Answer) {
    let text = format!("{} {}", answer.status, answer.text);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        assert!(answer.status != CUT_OFF && answer.status < 500);
        if answer.status >= 400 && request.is_for_a_token() {
            assert!(answer.body["error"].is_string());
        } else if answer.status >= 400 {
            let (status, code) = (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned());
            answer.expect_error(status, &code);
        }
    }));
    assert!(checked.is_ok(), "{request}: {text}");
}
