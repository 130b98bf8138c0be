//! Another tenant's things are, on every route, things that don't exist.

use serde_json::json;

use crate::support::Account;

/// Every documented route that takes an id or a name, with a body where it needs one.
const ROUTES: [(&str, &str); 9] = [
    ("GET", "/contacts/{contactId}"),
    ("PATCH", "/contacts/{contactId}"),
    ("DELETE", "/contacts/{contactId}"),
    ("POST", "/contacts/{contactId}/restore"),
    ("POST", "/contacts/{contactId}/purge"),
    ("GET", "/contacts/{contactId}/history"),
    ("GET", "/fields/{internalName}"),
    ("PATCH", "/fields/{internalName}"),
    ("DELETE", "/fields/{internalName}"),
];

#[tokio::test]
async fn another_tenants_things_do_not_exist() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    owner.define(json!({"label": "Secret", "type": "text"})).await;
    let id = owner.create(json!({"email": "a@example.com", "secret": "s"})).await;
    let before = owner.get(&format!("/contacts/{id}?properties=secret")).await;
    for (method, path) in ROUTES {
        let body = if path.starts_with("/fields") {
            json!({"label": "Mine"})
        } else {
            json!({"fields": {"first_name": "Mine"}})
        };
        let send = |id: &str, name: &str| {
            let path = path.replace("{contactId}", id).replace("{internalName}", name);
            stranger.call(method, &path).header("x-request-id", "same").json(&body).send()
        };
        let theirs = send(&id, "secret").await.expect_error(404, "not_found");
        let nothing = send(&uuid::Uuid::now_v7().to_string(), "nothing").await;
        assert_eq!(theirs.body, nothing.body, "{method} {path}");
    }
    let after = owner.get(&format!("/contacts/{id}?properties=secret")).await;
    assert_eq!((after.etag(), after.body), (before.etag(), before.body));
    owner.get("/fields/secret").await.expect(200);
}

#[tokio::test]
async fn tenants_share_neither_lists_nor_fields_nor_keys() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    owner.define(json!({"label": "Secret", "type": "text"})).await;
    owner.create(json!({"email": "a@example.com", "external_id": "1"})).await;
    assert_eq!(stranger.get("/contacts?archived=true").await.body["pagination"]["count"], 0);
    assert_eq!(stranger.get("/contacts?email=a@example.com").await.body["pagination"]["count"], 0);
    stranger.get("/contacts?properties=secret").await.expect_error(400, "invalid_properties");
    stranger.create(json!({"email": "a@example.com", "external_id": "1"})).await;
    stranger.define(json!({"label": "Secret", "type": "number"})).await;
    assert_eq!(owner.get("/fields/secret").await.body["type"], "text");
}

#[tokio::test]
async fn an_upsert_neither_sees_nor_changes_another_tenants_contact() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    let id = owner.create(json!({"first_name": "A", "external_id": "shared"})).await;
    let upsert = |headers: &[(&str, &str)]| {
        let call = stranger.call("PUT", "/contacts/shared?id_property=external_id");
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        call.json(&json!({"fields": {"first_name": "B"}})).send()
    };
    upsert(&[("if-match", "*")]).await.expect_error(412, "precondition_failed");
    let created = upsert(&[]).await.expect(201);
    assert_ne!(created.id(), id);
    assert_eq!(owner.get(&format!("/contacts/{id}")).await.body["first_name"], "A");
    assert_eq!(owner.get("/contacts/shared?id_property=external_id").await.expect(200).id(), id);
    assert_eq!(stranger.get("/contacts/shared?id_property=external_id").await.expect(200).id(), created.id());
}

#[tokio::test]
async fn feeds_and_batches_hold_nothing_of_another_tenant() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    let id = owner.create(json!({"first_name": "A", "external_id": "x"})).await;
    let cursor = owner.get("/contacts/changes").await.expect(200).body["next"].as_str().unwrap().to_owned();
    stranger.get(&format!("/contacts/changes?after={cursor}")).await.expect_error(400, "invalid_query");
    assert_eq!(stranger.get("/contacts/changes").await.body["data"], json!([]));
    for (action, input) in
        [("read", json!({"id": id})), ("archive", json!({"id": id})), ("update", json!({"id": id, "fields": {}}))]
    {
        let answer = stranger.post(&format!("/contacts/batch/{action}"), json!({"inputs": [input]})).await.expect(207);
        assert_eq!(answer.body["results"][0]["error"]["code"], "not_found");
    }
}

#[tokio::test]
async fn a_document_holds_nothing_of_another_tenant() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    owner.define(json!({"label": "Secret", "type": "text"})).await;
    let theirs = owner.get("/openapi.json").await.expect(200);
    assert!(theirs.text.contains("\"secret\""));
    let public = owner.anonymous("GET", "/openapi.json").send().await.expect(200);
    let own = stranger.get("/openapi.json").await.expect(200);
    for other in [&public, &own] {
        assert!(!other.text.contains("\"secret\"") && other.etag() != theirs.etag());
    }
    // Who knows the tag of another's document learns nothing by it.
    let known = stranger.call("GET", "/openapi.json").header("if-none-match", &theirs.etag()).send().await.expect(200);
    assert_eq!(known.body, own.body);
}

#[tokio::test]
async fn no_route_is_left_out() {
    let document = contacts::http::openapi::complete();
    let document = serde_json::to_value(&document).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        // An upsert of what does not exist creates it: it has a test of its own.
        for method in item.as_object().unwrap().keys().filter(|method| path.contains('{') && *method != "put") {
            let route = (method.to_uppercase(), path.clone());
            assert!(
                ROUTES.iter().any(|(method, path)| (*method, *path) == (&*route.0, &*route.1)),
                "{route:?} has no case here"
            );
        }
    }
}
