//! `GET /contacts/export`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse, SeededRandom, test_seed};

fn lines(response: &ApiResponse) -> Vec<Value> {
    response.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Creates contacts in batches, with an `external_id` that counts them.
async fn create_contacts(account: &Account, count: usize) {
    let inputs: Vec<_> =
        (0..count).map(|number| json!({"fields": {"first_name": "A", "external_id": number.to_string()}})).collect();
    for inputs in inputs.chunks(1_000) {
        account.batch("create", json!({"inputs": inputs})).await.expect(200);
    }
}

#[tokio::test]
async fn export_has_all_active_contacts_in_order_of_creation() {
    let account = Account::new().await;
    account.define(json!({"label": "score", "type": "number"})).await;
    create_contacts(&account, 1_200).await;
    account.delete("/contacts/7?id_property=external_id").await.expect(200);
    account.patch("8?id_property=external_id", json!({"score": 5, "job_title": "=1+1, \"x\""})).await.expect(200);
    let ndjson = account.get("/contacts/export?format=ndjson").await.expect(200);
    assert_eq!(ndjson.header("content-type"), "application/x-ndjson");
    assert_eq!(ndjson.header("cache-control"), "private, no-cache");
    let contacts = lines(&ndjson);
    let ids: Vec<_> = contacts.iter().map(|contact| contact["external_id"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = (0..1_200).filter(|number| *number != 7).map(|number| number.to_string()).collect();
    assert_eq!(ids, expected);
    let read = account.get("/contacts/8?id_property=external_id&properties=*").await.expect(200);
    assert_eq!(contacts[7], read.body);
    let csv = account.get("/contacts/export?format=csv&properties=job_title,score").await.expect(200);
    assert_eq!(csv.header("content-type"), "text/csv");
    let mut rows = csv::Reader::from_reader(csv.text.as_bytes());
    let header: Vec<_> = rows.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[..3], ["id", "first_name", "last_name"]);
    assert_eq!(header[header.len() - 2..], ["job_title", "score"]);
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), &rows[7][header.len() - 2], &rows[7][header.len() - 1]), (1_199, "=1+1, \"x\"", "5"));
    let safe = account.get("/contacts/export?format=csv&properties=job_title&spreadsheet_safe=true").await.expect(200);
    assert!(safe.text.contains("\"'=1+1, \"\"x\"\"\""), "the cell is escaped");
    let head = account.call("HEAD", "/contacts/export?format=csv").send().await.expect(200);
    assert_eq!((head.header("content-type"), head.text.as_str()), ("text/csv", ""));
}

#[tokio::test]
async fn export_of_an_empty_account_is_empty() {
    let account = Account::new().await;
    assert_eq!(account.get("/contacts/export?format=ndjson").await.expect(200).text, "");
    let csv = account.get("/contacts/export?format=csv").await.expect(200);
    assert!(csv.text.starts_with("id,first_name,") && csv.text.lines().count() == 1, "{}", csv.text);
}

#[tokio::test]
async fn invalid_export_is_400() {
    let account = Account::new().await;
    for (query, field, code) in [
        ("", "format", "required"),
        ("?format=json", "format", "invalid_option"),
        ("?format=csv&format=csv", "format", "invalid_format"),
        ("?format=ndjson&spreadsheet_safe=true", "spreadsheet_safe", "invalid_format"),
        ("?format=csv&limit=5", "limit", "unknown_parameter"),
    ] {
        let response = account.get(&format!("/contacts/export{query}")).await.expect_error(400, "invalid_query");
        response.expect_details(&[(field, code)]);
    }
    account.get("/contacts/export?format=csv&properties=nope").await.expect_error(400, "invalid_properties");
    account.call("POST", "/contacts/export").send().await.expect_error(405, "method_not_allowed");
    // With `id_property`, the segment is a value.
    let put = account.put("export?id_property=external_id", json!({"first_name": "A"})).await.expect(201);
    let read = account.get("/contacts/export?id_property=external_id").await.expect(200);
    assert_eq!(read.id(), put.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn account_has_one_export_at_a_time() {
    let account = Account::new().await;
    let large = "x".repeat(4_000);
    let inputs: Vec<_> = (0..1_000)
        .map(|_| json!({"fields": {"first_name": "A", "website": format!("https://a.bc/{}", &large[..2_000])}}))
        .collect();
    for _ in 0..10 {
        account.batch("create", json!({"inputs": inputs})).await.expect(200);
    }
    let url = format!("http://{}/contacts/export?format=ndjson", account.server.address);
    let call = || reqwest::Client::builder().tls_certs_only([]).build().unwrap().get(&url).bearer_auth(&account.token);
    // The response is not read, so the export does not end.
    let running = call().send().await.unwrap();
    assert_eq!(running.status(), 200);
    let rejected = account.get("/contacts/export?format=csv").await.expect_error(503, "unavailable");
    assert_eq!(rejected.header("retry-after"), "1");
    account.for_new_account().get("/contacts/export?format=csv").await.expect(200);
    drop(running);
    for _ in 0..200 {
        if account.get("/contacts/export?format=csv&properties=id").await.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the slot of an export that ended is free again");
}

/// Applies the entries of the feed from the cursor of an export, and compares the copy with the contacts.
#[tokio::test(flavor = "multi_thread")]
async fn export_and_the_changes_after_its_cursor_are_an_exact_copy() {
    const WRITERS: u64 = 16;
    let account = Account::new().await;
    let second = account.on_instance(&account.server.second_instance());
    create_contacts(&account, 2_000).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let seed = test_seed();
    let writers = (0..WRITERS).map(|writer| {
        let account = [&account, &second][usize::try_from(writer % 2).unwrap()].clone();
        let (is_done, mut random) = (Arc::clone(&is_done), SeededRandom::new(seed ^ writer));
        tokio::spawn(async move {
            while !is_done.load(Ordering::Relaxed) {
                write_something(&account, &mut random).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let export = account.get("/contacts/export?format=ndjson&properties=job_title").await.expect(200);
    is_done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let mut copy: BTreeMap<String, Value> = BTreeMap::new();
    for contact in lines(&export) {
        let id = contact["id"].as_str().unwrap().to_owned();
        assert!(copy.insert(id, contact).is_none(), "each contact is exported once");
    }
    let mut cursor = export.header("changes-cursor").to_owned();
    loop {
        let path = format!("/contacts/changes?limit=1000&after={cursor}&properties=first_name,job_title,archived");
        let page = account.get(&path).await.expect(200);
        let entries = page.body["data"].as_array().unwrap();
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let id = entry["contact_id"].as_str().unwrap();
            let values = &entry["properties"];
            if values.is_null() || values["archived"] != false {
                copy.remove(id);
            } else {
                copy.entry(id.to_owned()).or_default()["job_title"] = values["job_title"].clone();
            }
        }
        cursor = page.body["next"].as_str().unwrap().to_owned();
    }
    let copied: BTreeMap<_, _> = copy.into_iter().map(|(id, contact)| (id, contact["job_title"].clone())).collect();
    let current = lines(&account.get("/contacts/export?format=ndjson&properties=job_title").await.expect(200));
    let current: BTreeMap<_, _> = current
        .iter()
        .map(|contact| (contact["id"].as_str().unwrap().to_owned(), contact["job_title"].clone()))
        .collect();
    assert_eq!(copied, current);
}

async fn write_something(account: &Account, random: &mut SeededRandom) {
    let key = random.below(2_000);
    let path = format!("{key}?id_property=external_id");
    let title = json!({"first_name": "A", "job_title": random.below(1_000_000).to_string()});
    let response = match random.below(10) {
        0 => account.delete(&format!("/contacts/{path}")).await,
        1 => {
            let read = account.get(&format!("/contacts/{path}")).await;
            if read.status != 200 {
                return;
            }
            account.post(&format!("/contacts/{}/purge", read.id()), json!({})).await
        }
        2 => account.post("/contacts", json!({"fields": title})).await,
        _ => account.put(&path, title).await,
    };
    assert!([200, 201, 204, 404].contains(&response.status), "{}", response.text);
}
