//! `GET`, `PATCH` and `DELETE /contacts/{value}?id_property=…`

use serde_json::json;

use crate::support::Account;

/// Creates an account with a unique field of each type that can be unique.
async fn account_with_unique_fields() -> Account {
    let account = Account::new().await;
    for (name, kind) in [("badge", "text"), ("mail", "email"), ("line", "phone"), ("site", "url"), ("rank", "number")] {
        account.define(json!({"label": name, "type": kind, "unique": true})).await;
    }
    account
}

#[tokio::test]
async fn get_by_unique_property_compares_by_the_rule_of_the_type() {
    let account = account_with_unique_fields().await;
    let fields = json!({"email": "Ada@Example.com", "external_id": "x Y", "badge": "ß/1", "mail": "M@b.cd",
                        "line": "+1 555", "site": "https://a.bc/d?e=f", "rank": 42});
    let id = account.create(fields).await;
    for (property, value, is_found) in [
        ("email", "ada@EXAMPLE.com", true),
        ("email", "%20ada%40example.com%20", true),
        ("external_id", "x%20Y", true),
        ("external_id", "x%20y", false),
        ("external_id", "x+Y", false),
        ("external_id", "x%20Y%20", false),
        ("badge", "%C3%9F%2F1", true),
        ("badge", "%C3%9F%252F1", false),
        ("mail", "m@B.CD", true),
        ("line", "+1%20555", true),
        ("line", "+1%20555%20", true),
        ("line", "+1555", false),
        ("line", "%2B1%20555", true),
        ("site", "https:%2F%2Fa.bc%2Fd%3Fe=f", true),
        ("site", "https:%2F%2FA.bc%2Fd%3Fe=f", false),
        ("rank", "42", true),
        ("rank", "42.0", true),
        ("rank", "4.2e1", true),
        ("rank", "-42", false),
        ("rank", "042", false),
        ("rank", "forty-two", false),
        ("rank", "null", false),
        ("rank", "%22%22", false),
        ("rank", "%5B42%5D", false),
        ("external_id", "%00", false),
        ("email", "no-address", false),
        ("external_id", &*"x".repeat(256), false),
        ("id", &id.to_uppercase(), true),
        ("id", "x%20Y", false),
    ] {
        let response = account.get(&format!("/contacts/{value}?id_property={property}")).await;
        assert_eq!(response.status, if is_found { 200 } else { 404 }, "{property} {value}: {}", response.text);
        assert!(!is_found || response.id() == id, "{property} {value}");
    }
}

#[tokio::test]
async fn patch_and_delete_by_unique_property_write_the_contact() {
    let account = account_with_unique_fields().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x", "rank": 7})).await;
    let patched = account.patch("7.0?id_property=rank&properties=phone", json!({"phone": "+1 555"})).await.expect(200);
    assert_eq!((patched.id(), &patched.body["phone"]), (id.clone(), &json!("+1 555")));
    // The key itself can change. From then on only the new value finds the contact.
    account.patch("x?id_property=external_id", json!({"external_id": "y"})).await.expect(200);
    account.patch("x?id_property=external_id", json!({"phone": null})).await.expect_error(404, "not_found");
    let tag = account.get(&format!("/contacts/{id}")).await.etag();
    let archive =
        |tag: &str| account.call("DELETE", "/contacts/y?id_property=external_id").header("if-match", tag).send();
    archive("\"stale\"").await.expect_error(412, "precondition_failed");
    let archived = archive(&tag).await.expect(200);
    assert_eq!((archived.id(), archived.body["archived_by"].clone()), (id, json!("tester")));
    archive("*").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn lookup_by_unique_property_ignores_archived_contacts() {
    let account = Account::new().await;
    let old = account.create(json!({"email": "a@example.com"})).await;
    account.delete("/contacts/a@example.com?id_property=email").await.expect(200);
    let path = "/contacts/a@example.com?id_property=email";
    account.get(path).await.expect_error(404, "not_found");
    account.delete(path).await.expect_error(404, "not_found");
    account.patch("a@example.com?id_property=email", json!({})).await.expect_error(404, "not_found");
    let new = account.create(json!({"email": "A@example.com"})).await;
    assert_eq!(account.get(path).await.expect(200).id(), new);
    account.get(&format!("/contacts/{old}")).await.expect(200);
}

#[tokio::test]
async fn lookup_by_unique_property_responds_like_lookup_by_id() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let by_id = account.get(&format!("/contacts/{id}?properties=phone")).await;
    let by_key = account.get("/contacts/x?properties=phone&id_property=external_id").await.expect(200);
    assert_eq!((by_key.etag(), &by_key.body), (by_id.etag(), &by_id.body));
    let conditional = account
        .call("GET", "/contacts/x?properties=phone&id_property=external_id")
        .header("if-none-match", &by_id.etag());
    conditional.send().await.expect(304);
    account.create(json!({"email": "taken@example.com"})).await;
    let conflict = account.patch("x?id_property=external_id", json!({"email": "Taken@example.com"})).await;
    conflict.expect_error(409, "duplicate_contact").expect_details(&[("email", "duplicate")]);
}

/// With `id_property`, reserved segments such as `search` and all other characters are part of the value.
#[tokio::test]
async fn path_segment_with_id_property_is_always_a_value() {
    let account = Account::new().await;
    let longest = "ß".repeat(255);
    for (number, value) in
        ["search", "changes", "batch", "a/b", "a+b", "a b", " x", "100%", "?x=1#y", "Größe 😀", "null", &longest]
            .into_iter()
            .enumerate()
    {
        let id = account.create(json!({"first_name": "A", "external_id": value})).await;
        let segment: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let spellings = if value.is_ascii() && number < 3 { vec![segment, value.to_owned()] } else { vec![segment] };
        for segment in spellings {
            let path = format!("{segment}?id_property=external_id");
            assert_eq!(account.get(&format!("/contacts/{path}")).await.expect(200).id(), id, "{value}");
            assert_eq!(
                account.patch(&path, json!({"last_name": format!("{}", segment.len())})).await.expect(200).id(),
                id,
                "{value}"
            );
            let put = account.put(&path, json!({"last_name": "B"})).await.expect(200);
            assert_eq!((put.id(), &put.body["external_id"]), (id.clone(), &json!(value)));
        }
        let segment: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        account.delete(&format!("/contacts/{segment}?id_property=external_id")).await.expect(200);
        account.put(&format!("{segment}?id_property=external_id"), json!({"last_name": "C"})).await.expect(201);
    }
    account.get("/contacts/%ff?id_property=external_id").await.expect_error(404, "not_found");
    account.get("/contacts/?id_property=external_id").await.expect_error(400, "missing_contact_id");
    account.get("/contacts/a/b?id_property=external_id").await.expect_error(404, "route_not_found");
}

#[tokio::test]
async fn id_property_that_is_not_unique_is_400_invalid_query() {
    let account = Account::new().await;
    account.define(json!({"label": "size", "type": "number"})).await;
    account.define(json!({"label": "gone", "type": "text", "unique": true})).await;
    account.delete("/fields/gone").await.expect(204);
    for query in [
        "phone",
        "size",
        "gone",
        "nope",
        "",
        "%20",
        "Email",
        "archived",
        "email,external_id",
        "email&id_property=email",
    ] {
        let path = format!("/contacts/x?id_property={query}");
        for method in ["GET", "PATCH", "PUT", "DELETE"] {
            let response = account.call(method, &path).json(&json!({"fields": {}})).send().await;
            response.expect_error(400, "invalid_query").expect_details(&[("id_property", "invalid_format")]);
        }
    }
    // One response lists all problems of the query.
    let response = account.get("/contacts/x?id_property=phone&properties=nope&dry_run=true").await;
    let mut details = response.expect_error(400, "invalid_query").details();
    details.sort();
    assert_eq!(details.iter().map(|(field, _)| &**field).collect::<Vec<_>>(), ["dry_run", "id_property", "nope"]);
    // Routes that do not look up by a property do not have the parameter.
    let created = account.post("/contacts?id_property=phone", json!({"fields": {"first_name": "A"}})).await;
    let listed = account.get("/contacts?id_property=phone").await;
    for response in [created, listed] {
        response.expect_error(400, "invalid_query").expect_details(&[("id_property", "unknown_parameter")]);
    }
}
