//! The size of responses, and the memory that they share (`docs/api-reference.md#limits`).

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use super::raw_connection::RawConnection;
use crate::support::{Account, Server, Stopwatch};

const MIB: usize = 1024 * 1024;
/// The number of custom fields of a large contact.
const FIELDS: usize = 63;
/// The number of large contacts that bring a page to 8 MiB.
const PAGE: usize = 33;

fn field_name(number: usize) -> String {
    format!("field_{number}")
}

fn all_properties() -> String {
    (0..FIELDS).map(field_name).collect::<Vec<_>>().join(",")
}

/// Returns the fields of a contact of 258,500 bytes.
fn large_fields(first_name: &str) -> Value {
    let custom = (0..FIELDS).map(|number| (field_name(number), json!("x".repeat(4_090))));
    let mut fields = Map::from_iter(custom);
    fields.insert("first_name".to_owned(), json!(first_name));
    Value::Object(fields)
}

async fn define_fields(account: &Account) {
    for number in 0..FIELDS {
        account.define(json!({"label": field_name(number), "type": "text"})).await;
    }
}

/// Returns an account on its own server with large contacts, named by their number, and the ids of these contacts.
async fn account_with_large_contacts(server: &Server, count: usize) -> (Account, Vec<String>) {
    let account = Account::on_server(server);
    define_fields(&account).await;
    let mut ids = vec![];
    for number in 0..count {
        ids.push(account.create(large_fields(&number.to_string())).await);
    }
    (account, ids)
}

/// Reads all pages of a list or search. Returns the number of items of each page, and all items.
async fn read_pages(read: impl AsyncFn(Option<String>) -> Value) -> (Vec<usize>, Vec<Value>) {
    let (mut sizes, mut items, mut next) = (vec![], vec![], None);
    loop {
        let page = read(next.take()).await;
        let data = page["data"].as_array().unwrap();
        sizes.push(data.len());
        items.extend(data.iter().cloned());
        let position = if page["pagination"].is_null() { &page["next"] } else { &page["pagination"]["next"] };
        match position.as_str() {
            Some(position) if !data.is_empty() => next = Some(position.to_owned()),
            _ => return (sizes, items),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_large_contacts_end_at_8_mib_and_continue_without_gaps() {
    let server = Server::with_own_database("large_pages", |_| {});
    let (account, ids) = account_with_large_contacts(&server, 2 * PAGE).await;
    let properties = all_properties();
    let after =
        |parameter: &str, next: Option<String>| next.map(|next| format!("&{parameter}={next}")).unwrap_or_default();
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();

    let list = async |next| {
        let path = format!("/contacts?limit=100&properties={properties}{}", after("after", next));
        account.get(&path).await.expect(200).body
    };
    let (sizes, contacts) = read_pages(list).await;
    assert_eq!((sizes, contacts.iter().map(id).collect::<Vec<_>>()), (vec![PAGE, PAGE], ids.clone()));

    let search = async |next| {
        let names: Vec<_> = (0..FIELDS).map(field_name).collect();
        let body = json!({"limit": 100, "properties": names, "after": next, "sorts": ["-created_at"]});
        account.post("/contacts/search", body).await.expect(200).body
    };
    let (sizes, mut contacts) = read_pages(search).await;
    contacts.reverse();
    assert_eq!((sizes, contacts.iter().map(id).collect::<Vec<_>>()), (vec![PAGE, PAGE], ids.clone()));

    let read_feed = async |next| {
        account.get(&format!("/contacts/changes?limit=1000{}", after("after", next))).await.expect(200).body
    };
    let (sizes, entries) = read_pages(read_feed).await;
    let of_entries: Vec<_> = entries.iter().map(|entry| entry["contact_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((sizes[..2].to_vec(), of_entries), (vec![PAGE, PAGE], ids.clone()));

    let changed = (0..FIELDS).map(|number| (field_name(number), json!("y".repeat(4_090)))).collect::<Map<_, _>>();
    for number in 0..20 {
        let fields = if number % 2 == 0 { changed.clone().into() } else { large_fields("0") };
        account.patch(&ids[0], fields).await.expect(200);
    }
    let read_history = async |next| {
        account.get(&format!("/contacts/{}/history?limit=1000{}", ids[0], after("after", next))).await.expect(200).body
    };
    let (sizes, entries) = read_pages(read_history).await;
    // An entry has the old values and the new values.
    assert_eq!((sizes, entries.len()), (vec![PAGE / 2 + 1, 21 - (PAGE / 2 + 1)], 21));
    assert_eq!(entries[20]["type"], "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn page_with_offset_that_would_end_at_8_mib_is_400() {
    let server = Server::with_own_database("large_offset_page", |_| {});
    let (account, _) = account_with_large_contacts(&server, PAGE + 1).await;
    let path = format!("/contacts?properties={}", all_properties());
    account
        .get(&format!("{path}&limit=100&offset=0"))
        .await
        .expect_error(400, "invalid_query")
        .expect_details(&[("limit", "out_of_range")]);
    let small = account.get(&format!("{path}&limit=30&offset=0")).await.expect(200);
    assert_eq!(small.body["data"].as_array().unwrap().len(), 30);
    // The last contact of the page may be the one that brings it to 8 MiB.
    let last = account.get(&format!("{path}&limit=100&offset=1")).await.expect(200);
    assert_eq!(last.body["data"].as_array().unwrap().len(), PAGE);
    assert!(last.body["pagination"]["next"].is_null());
    let first = account.get(&format!("{path}&limit=100")).await.expect(200);
    assert_eq!(first.body["data"].as_array().unwrap().len(), PAGE);
    assert!(first.body["pagination"]["next"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_read_is_413_from_the_first_contact_that_does_not_fit() {
    let server = Server::with_own_database("large_batch_read", |_| {});
    let (account, ids) = account_with_large_contacts(&server, 1).await;
    let properties: Vec<_> = (0..FIELDS).map(field_name).collect();
    let mut inputs = vec![json!({"id": ids[0]}); 1_000];
    inputs[1] = json!({"id": uuid::Uuid::now_v7()});
    inputs[900] = json!({"unknown": 1});
    let read = async |is_atomic: bool| {
        let body = json!({"inputs": inputs, "properties": properties, "atomic": is_atomic});
        let response = account.post("/contacts/batch/read", body).await.expect(207);
        let results = response.body["results"].as_array().unwrap().clone();
        let is_too_large = |result: &Value| result["error"]["code"] == "response_too_large";
        let fitting = results.iter().take_while(|result| !is_too_large(result)).count();
        assert_eq!(results.len(), 1_000);
        assert!(results[fitting..].iter().all(|result| is_too_large(result) && result["status"] == 413));
        assert_eq!(results[1]["error"]["code"], "not_found");
        (fitting, results, response.body["summary"].clone())
    };
    let (fitting, results, summary) = read(false).await;
    // 32 MiB of contacts of 258,500 bytes.
    assert!((128..=130).contains(&fitting), "{fitting}");
    let contact = account.get(&format!("/contacts/{}?properties={}", ids[0], all_properties())).await.expect(200).body;
    assert!(results[..fitting].iter().enumerate().all(|(index, result)| index == 1 || result["contact"] == contact));
    assert_eq!(summary, json!({"total": 1_000, "succeeded": fitting - 1, "failed": 1_001 - fitting}));

    let (fitting_atomic, results, summary) = read(true).await;
    assert_eq!(fitting_atomic, fitting);
    assert!(results[..fitting].iter().enumerate().all(|(index, result)| index == 1 || result["status"] == 424));
    assert_eq!(summary["failed"], 1_000);

    // Contacts of a unique property, and of the default fields, too.
    account.patch(&ids[0], json!({"external_id": "e"})).await.expect(200);
    let by_key =
        json!({"inputs": vec![json!({"id": "e"}); 200], "id_property": "external_id", "properties": properties});
    let response = account.post("/contacts/batch/read", by_key).await.expect(207);
    assert_eq!(response.body["summary"]["succeeded"], fitting - 1);
    let default = json!({"inputs": vec![json!({"id": ids[0]}); 1_000]});
    account.post("/contacts/batch/read", default).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn response_that_gets_no_memory_is_503_and_small_responses_need_none() {
    let server = Server::with_own_database("response_memory", |settings| {
        // An account has at most three quarters of it: 9 MiB, a page and a little more.
        settings.limits.buffered_response_bytes = 12 * MIB;
    });
    let (account, ids) = account_with_large_contacts(&server, PAGE).await;
    let other = account.for_new_account();
    define_fields(&other).await;
    let id = other.create(large_fields("other")).await;
    let large_page = format!("/contacts?limit=100&properties={}", all_properties());
    // This client reads only the beginning of the page, so its memory stays in use.
    let mut slow = RawConnection::start_request(&account, &format!("GET {large_page}"), 0);
    slow.stream.read_exact(&mut [0; 100]).unwrap();
    let started = Stopwatch::start();
    let rejected = account.get(&large_page).await.expect_error(503, "unavailable");
    assert_eq!(rejected.header("retry-after"), "1");
    started.expect_milliseconds(1_900..5_000);
    account.get(&format!("/contacts/{}", ids[0])).await.expect(200);
    account.get("/contacts?limit=100").await.expect(200);
    // Other accounts have their share.
    other.get(&format!("/contacts/{id}?properties={}", all_properties())).await.expect(200);
    other.patch(&format!("{id}?properties={}", all_properties()), json!({"last_name": "L"})).await.expect(200);
    other.get(&large_page).await.expect(200);
    // A client that disconnects returns the memory of its response.
    drop(slow);
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..5 {
        account.get(&large_page).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_whose_response_gets_no_memory_is_not_applied() {
    let server = Server::with_own_database("response_memory_write", |settings| {
        settings.limits.buffered_response_bytes = 4 * MIB;
    });
    let (account, ids) = account_with_large_contacts(&server, 1).await;
    let properties: Vec<_> = (0..FIELDS).map(field_name).collect();
    let body = json!({"inputs": vec![json!({"id": ids[0]}); 120], "properties": properties}).to_string();
    // This client reads only the beginning of a response that is larger than the share of the account.
    let mut slow = RawConnection::start_request(&account, "POST /contacts/batch/read", body.len());
    slow.send(&body);
    slow.stream.read_exact(&mut [0; 100]).unwrap();
    let path = format!("{}?properties={}", ids[0], all_properties());
    account.patch(&path, json!({"last_name": "L"})).await.expect_error(503, "unavailable");
    assert!(account.get(&format!("/contacts/{}", ids[0])).await.expect(200).body["last_name"].is_null());
    drop(slow);
    tokio::time::sleep(Duration::from_millis(500)).await;
    account.patch(&path, json!({"last_name": "L"})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_response_is_compressed_and_equal() {
    let server = Server::with_own_database("large_compressed", |_| {});
    let (account, _) = account_with_large_contacts(&server, 8).await;
    let url = format!("http://{}/contacts?limit=100&properties={}", server.address, all_properties());
    let get = async |coding: &str| {
        let request = reqwest::Client::new().get(&url).bearer_auth(&account.token).header("accept-encoding", coding);
        let response = request.send().await.unwrap();
        let encoding = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let bytes = response.bytes().await.unwrap();
        assert_eq!(length, bytes.len());
        (encoding, bytes)
    };
    let (encoding, plain) = get("identity").await;
    assert!(encoding.is_none() && plain.len() > 8 * 258_000);
    let (encoding, gzip) = get("gzip").await;
    let mut decoded = vec![];
    GzDecoder::new(&*gzip).read_to_end(&mut decoded).unwrap();
    assert_eq!((encoding.as_deref(), decoded.len()), (Some("gzip"), plain.len()));
    assert!(decoded == plain);
    let (encoding, zstd) = get("zstd").await;
    assert_eq!(encoding.as_deref(), Some("zstd"));
    assert!(zstd::stream::decode_all(&*zstd).unwrap() == plain);
}
