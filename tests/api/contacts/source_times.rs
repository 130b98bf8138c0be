//! `source_updated_at`: changes that arrive out of order.

use serde_json::{Value, json};

use crate::support::{Account, SeededRandom, run_concurrently, test_seed, token_for};

/// The path of an upsert of `x` with a time.
fn path(time: &str) -> String {
    format!("x?id_property=external_id&properties=job_title&source_updated_at={time}")
}

fn title(title: &str) -> Value {
    json!({"job_title": title, "first_name": "A"})
}

async fn feed_length(account: &Account) -> usize {
    account.get("/contacts/changes?limit=1000").await.expect(200).body["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn older_change_of_the_same_actor_is_ignored() {
    let account = Account::new().await;
    let created = account.put(&path("2026-05-01T10:00:00Z"), title("first")).await.expect(201);
    let id = created.id();
    assert_eq!(created.header("stale-write"), "");
    for (time, sent, is_stale, shown) in [
        ("2026-05-01T10:00:00.000001Z", "newer", false, "newer"),
        ("2026-05-01T10:00:00Z", "older", true, "newer"),
        ("2026-05-01T12:00:00.000001%2B02:00", "equal", false, "equal"),
        // Values that change nothing are a change of this time, too.
        ("2026-05-01T11:00:00Z", "equal", false, "equal"),
        ("2026-05-01T10:59:59Z", "between", true, "equal"),
    ] {
        let (before, etag) = (feed_length(&account).await, account.get(&format!("/contacts/{id}")).await.etag());
        let response = account.put(&path(time), title(sent)).await.expect(200);
        assert_eq!(
            (response.header("stale-write") == "ignored", &response.body["job_title"]),
            (is_stale, &json!(shown))
        );
        if is_stale {
            assert_eq!(feed_length(&account).await, before);
            assert_eq!(account.get(&format!("/contacts/{id}")).await.etag(), etag);
        }
    }
    // By id and by key, with PATCH.
    for target in [format!("{id}?"), "x?id_property=external_id&".to_owned()] {
        let old = account.patch(&format!("{target}source_updated_at=2026-05-01T10:30:00Z"), title("old")).await;
        assert_eq!(old.expect(200).header("stale-write"), "ignored");
    }
    // Another actor has its own times, and a write without a time always applies.
    let other = account.with_token(token_for(account.id, Some("other")));
    assert_eq!(other.put(&path("2020-01-01T00:00:00Z"), title("o")).await.expect(200).body["job_title"], "o");
    assert_eq!(
        account.patch(&format!("{id}?properties=job_title"), title("n")).await.expect(200).body["job_title"],
        "n"
    );
    // A token without an actor has a time of its own.
    let nobody = account.with_token(token_for(account.id, None));
    nobody.put(&path("2021-01-01T00:00:00Z"), title("p")).await.expect(200);
    let stale = nobody.put(&path("2020-01-01T00:00:00Z"), title("q")).await.expect(200);
    assert_eq!((stale.header("stale-write"), &stale.body["job_title"]), ("ignored", &json!("p")));
}

#[tokio::test]
async fn archived_contacts_and_preconditions_are_refused_before_the_time() {
    let account = Account::new().await;
    let id = account.put(&path("2026-05-01T10:00:00Z"), title("a")).await.expect(201).id();
    let old = format!("/contacts/{id}?source_updated_at=2026-05-01T09:00:00Z");
    let body = json!({"fields": {"job_title": "b"}});
    let unmet = account.call("PATCH", &old).header("if-match", "\"other.x\"").json(&body).send().await;
    unmet.expect_error(412, "precondition_failed");
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    account.call("PATCH", &old).json(&body).send().await.expect_error(409, "contact_archived");
    account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200);
    // The times of an archived contact are kept.
    assert_eq!(account.call("PATCH", &old).json(&body).send().await.expect(200).header("stale-write"), "ignored");
}

#[tokio::test]
async fn stale_answer_is_stored_and_a_dry_run_says_what_would_be() {
    let account = Account::new().await;
    let dry = format!("{}&dry_run=true", path("2026-05-01T10:00:00Z"));
    account.put(&dry, title("a")).await.expect(201);
    let id = account.put(&path("2026-05-01T09:00:00Z"), title("a")).await.expect(201).id();
    assert_eq!(account.put(&dry, title("dry")).await.expect(200).header("stale-write"), "");
    let old = format!("/contacts/{}", path("2026-05-01T08:00:00Z"));
    let is_stale = async |call: &str| {
        let response = account.call("PUT", call).json(&json!({"fields": title("b")})).send().await.expect(200);
        assert_eq!(response.body["job_title"], "a");
        response.header("stale-write") == "ignored"
    };
    assert!(is_stale(&format!("{old}&dry_run=true")).await && is_stale(&old).await);
    let repeat = async || {
        let call = account.call("PUT", &old).header("idempotency-key", "k").json(&json!({"fields": title("b")}));
        call.send().await.expect(200)
    };
    let (first, second) = (repeat().await, repeat().await);
    assert_eq!([&first, &second].map(|response| response.header("stale-write")), ["ignored"; 2]);
    assert_eq!((second.header("idempotency-replayed"), &second.text), ("true", &first.text));
    // A purge removes the times.
    let stored = async || {
        let count = sqlx::query_scalar("SELECT count(*) FROM source_times WHERE account_id = $1").bind(account.id);
        let count: i64 = count.fetch_one(&mut account.database().await).await.unwrap();
        count
    };
    assert_eq!(stored().await, 1);
    account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
    assert_eq!(stored().await, 0);
}

#[tokio::test]
async fn inputs_of_a_batch_have_their_own_times() {
    let account = Account::new().await;
    let input = |id: &str, time: Value, text: &str| json!({"id": id, "fields": title(text), "source_updated_at": time});
    let inputs = json!([
        input("x", json!("2026-05-01T10:00:00Z"), "1"),
        input("x", json!("2026-05-01T09:00:00Z"), "2"),
        input("y", Value::Null, "3"),
        input("x", json!("yesterday"), "4"),
        input("x", json!(5), "5"),
    ]);
    let body = json!({"inputs": inputs, "id_property": "external_id", "properties": ["job_title"]});
    let batch = account.batch("upsert", body).await.expect(207);
    let results = batch.body["results"].as_array().unwrap();
    let stale: Vec<_> = results.iter().map(|result| result.get("stale").cloned()).collect();
    assert_eq!(stale, [None, Some(json!(true)), None, None, None]);
    assert_eq!((&results[1]["contact"]["job_title"], &results[1]["status"]), (&json!("1"), &json!(200)));
    for (index, code) in [(3, "invalid_format"), (4, "invalid_type")] {
        let detail = &results[index]["error"]["details"][0];
        assert_eq!((&detail["field"], &detail["code"]), (&json!("source_updated_at"), &json!(code)));
    }
    let update = json!([{"id": results[0]["id"], "fields": title("6"), "source_updated_at": "2026-05-01T08:00:00Z"}]);
    let batch = account.batch("update", json!({"inputs": update})).await.expect(200);
    assert_eq!(batch.body["results"][0]["stale"], true);
    let archive = json!([{"id": results[0]["id"], "source_updated_at": "2026-05-01T08:00:00Z"}]);
    let batch = account.batch("archive", json!({"inputs": archive})).await.expect(207);
    assert_eq!(batch.body["results"][0]["error"]["code"], "invalid_body");
}

#[tokio::test]
async fn invalid_time_is_400() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (time, code) in [
        ("2026-05-01", "invalid_format"),
        ("2026-05-01T10:00:00", "invalid_format"),
        ("", "invalid_format"),
        ("0000-05-01T10:00:00Z", "out_of_range"),
        ("2026-05-01T10:00:00+02:00", "invalid_format"),
    ] {
        let response = account.patch(&format!("{id}?source_updated_at={time}"), json!({})).await;
        response.expect_error(400, "invalid_query").expect_details(&[("source_updated_at", code)]);
    }
    for (method, path) in [("GET", id.as_str()), ("DELETE", &id)] {
        let call = account.call(method, &format!("/contacts/{path}?source_updated_at=2026-05-01T10:00:00Z"));
        call.send()
            .await
            .expect_error(400, "invalid_query")
            .expect_details(&[("source_updated_at", "unknown_parameter")]);
    }
}

/// Sends shuffled updates of many contacts from concurrent callers over two instances, singly and in batches.
#[tokio::test(flavor = "multi_thread")]
async fn shuffled_changes_leave_each_contact_at_its_newest() {
    const CONTACTS: usize = 20;
    const VERSIONS: usize = 50;
    const CALLERS: usize = 16;
    let mut random = SeededRandom::new(test_seed());
    let mut changes: Vec<_> =
        (0..CONTACTS).flat_map(|contact| (0..VERSIONS).map(move |version| (contact, version))).collect();
    for index in (1..changes.len()).rev() {
        changes.swap(index, usize::try_from(random.below(index as u64 + 1)).unwrap());
    }
    let account = Account::new().await;
    let second = account.on_instance(&account.server.second_instance());
    let workers = changes.chunks(changes.len().div_ceil(CALLERS)).enumerate().map(|(caller, changes)| {
        let (account, changes) = ([&account, &second][caller % 2].clone(), changes.to_vec());
        async move { send_changes(&account, &changes, caller % 4 == 0).await }
    });
    run_concurrently(workers.collect::<Vec<_>>()).await;
    for contact in 0..CONTACTS {
        let read = account.get(&format!("/contacts/c{contact}?id_property=external_id&properties=job_title")).await;
        assert_eq!(read.expect(200).body["job_title"], format!("{}", VERSIONS - 1), "contact {contact}");
    }
}

async fn send_changes(account: &Account, changes: &[(usize, usize)], in_batches: bool) {
    let time = |version: &usize| format!("2026-05-01T10:00:{version:02}Z");
    if in_batches {
        for changes in changes.chunks(7) {
            let inputs: Vec<_> = changes
                .iter()
                .map(|(contact, version)| {
                    json!({"id": format!("c{contact}"), "fields": title(&version.to_string()), "source_updated_at": time(version)})
                })
                .collect();
            account.batch("upsert", json!({"inputs": inputs, "id_property": "external_id"})).await.expect(200);
        }
        return;
    }
    for (contact, version) in changes {
        let path = format!("c{contact}?id_property=external_id&source_updated_at={}", time(version));
        let response = account.put(&path, title(&version.to_string())).await;
        assert!([200, 201].contains(&response.status), "{}", response.text);
    }
}
