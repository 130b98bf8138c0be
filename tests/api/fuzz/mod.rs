//! Sends hostile requests to every route of the OpenAPI document. Paths, queries, headers and bodies are random
//! mutations of the corpora in `fuzz/`. No response may be a 5xx, every error must have the common format, and the
//! service must keep working.

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../fuzz/mutator.rs"]
mod mutator;
mod request;
mod route;

use std::panic::{AssertUnwindSafe, catch_unwind};

use contacts::fields::Kind;
use serde_json::json;

use crate::support::{Account, ApiResponse, NO_RESPONSE, SeededRandom, Server, run_concurrently, test_seed, token_for};
use request::{KnownValues, Request, RequestGenerator};
use route::Route;

/// The default number of requests, which takes a few seconds in a debug build.
const REQUESTS: u64 = 1_200;
const CALLERS: u64 = 4;
/// The number of requests after which a caller continues with a new account, because its requests have by then deleted
/// many of the known objects.
const REQUESTS_PER_ACCOUNT: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn mutated_requests_never_get_a_5xx_or_a_malformed_error() {
    let (count, seed) = (mutator::executions(REQUESTS) / CALLERS, test_seed());
    // A server of its own, because wrong secrets at the token endpoint are limited for each peer.
    let server = Server::with_own_database("fuzz", |_| {});
    let send = |caller| send_requests(server.clone(), seed * CALLERS + caller, count);
    let results = run_concurrently((0..CALLERS).map(send)).await;
    let [succeeded, rejected] = [0, 1].map(|kind| results.iter().map(|counts| counts[kind]).sum::<u64>());
    println!("{succeeded} requests succeeded, {rejected} were rejected");
    // If fewer requests succeed, the mutations are too strong to reach the code behind the validation.
    assert!(succeeded > rejected / 10);
    let new_account = Account::on_server(&server);
    let id = new_account.create(json!({"first_name": "Ada"})).await;
    new_account.get(&format!("/contacts/{id}")).await.expect(200);
}

/// Sends `count` requests, one after another. Returns how many succeeded and how many were rejected.
async fn send_requests(server: Server, seed: u64, count: u64) -> [u64; 2] {
    let (routes, mut generator) = (Route::all(), RequestGenerator::new(seed));
    let (mut account, mut known) = create_account_with_data(&server).await;
    let mut counts = [0, 0];
    for number in 1..=count {
        if number % REQUESTS_PER_ACCOUNT == 0 {
            (account, known) = create_account_with_data(&server).await;
        }
        let route = &routes[usize::try_from(number).unwrap() % routes.len()];
        let request = generator.generate(route, &known);
        let response = request.send(&account).await;
        counts[usize::from(response.status >= 400)] += 1;
        expect_valid_response(&request, response);
    }
    counts
}

/// Creates an account with a field of every type and two contacts. Returns it with the values that requests can use.
async fn create_account_with_data(server: &Server) -> (Account, KnownValues) {
    let account = Account::on_server(server);
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
    let known = KnownValues {
        token: token_for(account.id, Some("tester")),
        segments: vec![ada.id(), other, "ada@example.com".into(), "crm-1".into(), "my_text".into(), "badge".into()],
        cursors: vec![feed, list],
        etag: ada.etag(),
    };
    (account, known)
}

/// Checks that the request got a response, that it is no 5xx, and that an error has the common format.
fn expect_valid_response(request: &Request, response: ApiResponse) {
    let text = format!("{} {}", response.status, response.text);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        assert!(response.status != NO_RESPONSE && response.status < 500);
        if response.status >= 400 && request.is_token_request() {
            assert!(response.body["error"].is_string());
        } else if response.status >= 400 {
            let (status, code) = (response.status, response.body["code"].as_str().unwrap_or_default().to_owned());
            response.expect_error(status, &code);
        }
    }));
    assert!(checked.is_ok(), "{request}: {text}");
}
