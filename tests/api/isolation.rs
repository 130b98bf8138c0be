//! Another tenant's things are, on every route, things that don't exist.

use serde_json::json;

use crate::support::Account;

/// Every documented route that takes an id or a name, with a body where it needs one.
const ROUTES: [(&str, &str); 7] = [
    ("GET", "/contacts/{contactId}"),
    ("PATCH", "/contacts/{contactId}"),
    ("DELETE", "/contacts/{contactId}"),
    ("POST", "/contacts/{contactId}/restore"),
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
async fn no_route_is_left_out() {
    let document = contacts::http::openapi::complete();
    let document = serde_json::to_value(&document).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|_| path.contains('{')) {
            let route = (method.to_uppercase(), path.clone());
            assert!(
                ROUTES.iter().any(|(method, path)| (*method, *path) == (&*route.0, &*route.1)),
                "{route:?} has no case here"
            );
        }
    }
}
