//! `/fields`: listing, defining, changing and deleting fields.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Account, Server, run_concurrently};

#[tokio::test]
async fn list_has_system_fields_first_then_custom_fields_by_name() {
    let account = Account::new().await;
    account.define(json!({"label": "Zeta", "type": "text"})).await;
    account.define(json!({"label": "Alpha", "type": "text"})).await;
    let response = account.get("/fields").await.expect(200);
    let names: Vec<_> = response.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["internal_name"].as_str().unwrap())
        .collect();
    let system = [
        "id",
        "first_name",
        "last_name",
        "email",
        "contact_owner",
        "external_id",
        "archived",
        "created_at",
        "updated_at",
        "archived_by",
        "phone",
        "mobile_phone",
        "job_title",
        "company_name",
        "website",
        "version",
    ];
    assert_eq!(names[..16], system);
    assert_eq!(names[16..], ["alpha", "zeta"]);
    let email = json!({"internal_name": "email", "label": "Email", "type": "email", "system": true, "default": true,
                       "writable": true, "unique": true, "created_at": null, "updated_at": null});
    assert_eq!(response.body["data"][3], email);
    assert_eq!(account.get("/fields/email").await.expect(200).body, email);
}

#[tokio::test]
async fn created_field_is_returned_by_post_and_get() {
    let account = Account::new().await;
    let body = json!({"label": "Größe (EU)", "type": "dropdown",
                      "options": [{"label": "S"}, {"label": "M", "internal_name": "mid"}]});
    let created = account.post("/fields", body).await.expect(201);
    let time = created.body["created_at"].clone();
    let expected = json!({"internal_name": "grosse_eu", "label": "Größe (EU)", "type": "dropdown",
                          "system": false, "default": false, "writable": true, "unique": false, "created_at": time,
                          "updated_at": time,
                          "options": [{"internal_name": "s", "label": "S"}, {"internal_name": "mid", "label": "M"}]});
    assert_eq!(created.body, expected);
    assert_eq!(account.get("/fields/grosse_eu").await.expect(200).body, expected);
    account.get("/fields/nope").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn taken_field_name_is_409_and_reserved_or_invalid_name_is_400() {
    let account = Account::new().await;
    account.define(json!({"label": "Shoe size", "type": "number"})).await;
    for name in ["shoe_size", "email", "id", "archived_by"] {
        let body = json!({"internal_name": name, "label": "X", "type": "text"});
        account.post("/fields", body).await.expect_error(409, "duplicate_field");
    }
    account.post("/fields", json!({"label": "Shoe Size!", "type": "text"})).await.expect_error(409, "duplicate_field");
    for name in [
        "account_id",
        "error",
        "code",
        "message",
        "details",
        "request_id",
        "fields",
        "properties",
        "Shoe",
        "1st",
        "",
        "a-b",
        &"a".repeat(64),
    ] {
        let body = json!({"internal_name": name, "label": "X", "type": "text"});
        account
            .post("/fields", body)
            .await
            .expect_error(400, "validation_failed")
            .expect_details(&[("internal_name", "invalid_format")]);
    }
    account.define(json!({"internal_name": "a".repeat(63), "label": "X", "type": "text"})).await;
}

#[tokio::test]
async fn malformed_field_definition_is_400_with_every_problem() {
    let account = Account::new().await;
    let response = account.post("/fields", json!({"type": "uuid", "unique": "yes", "colour": "red"})).await;
    let expected =
        [("colour", "unknown_field"), ("label", "required"), ("type", "invalid_option"), ("unique", "invalid_type")];
    response.expect_error(400, "validation_failed").expect_details(&expected);
    let too_many: Vec<_> = (0..1_001).map(|index| json!({"label": format!("o{index}")})).collect();
    account
        .post("/fields", json!({"label": "X", "type": "dropdown", "options": too_many}))
        .await
        .expect_error(400, "validation_failed");
    account.post("/fields", json!({"label": "X", "type": "dropdown", "options": too_many[..1_000]})).await.expect(201);
    account.post("/fields", json!([])).await.expect_error(400, "invalid_body");
    account.call("POST", "/fields").body("text/plain", "{}").send().await.expect_error(415, "unsupported_media_type");
}

#[tokio::test]
async fn account_is_limited_to_500_fields_and_10_unique_fields() {
    let account = Account::new().await;
    for index in 0..10 {
        account.define(json!({"label": format!("unique {index}"), "type": "text", "unique": true})).await;
    }
    account
        .post("/fields", json!({"label": "one more", "type": "text", "unique": true}))
        .await
        .expect_error(409, "too_many_fields");
    // Only as many at once as there are database connections: each definition waits for the lock of the account.
    for chunk in (0..490).collect::<Vec<_>>().chunks(10) {
        let definitions = chunk.iter().map(|index| {
            let (account, label) = (account.clone(), format!("field {index}"));
            async move { account.define(json!({"label": label, "type": "text"})).await }
        });
        run_concurrently(definitions.collect::<Vec<_>>()).await;
    }
    account.post("/fields", json!({"label": "one more", "type": "text"})).await.expect_error(409, "too_many_fields");
    account.delete("/fields/field_7").await.expect(204);
    account.define(json!({"label": "one more", "type": "text"})).await;
}

/// Returns options that take exactly this number of bytes as compact JSON.
fn options_of_size(bytes: usize) -> Value {
    let mut options: Vec<_> = (0..250)
        .map(|number| json!({"internal_name": format!("o{number}"), "label": format!("{number} {}", "ä".repeat(100))}))
        .collect();
    let size = json!(options).to_string().len();
    let rest = bytes.checked_sub(size).unwrap();
    for option in options.iter_mut().take(rest / 100) {
        option["label"] = json!(option["label"].as_str().unwrap().to_owned() + &"x".repeat(100));
    }
    options[249]["label"] = json!(options[249]["label"].as_str().unwrap().to_owned() + &"x".repeat(rest % 100));
    assert_eq!(json!(options).to_string().len(), bytes);
    json!(options)
}

#[tokio::test]
async fn options_of_a_field_are_at_most_65536_bytes_unless_they_were_larger() {
    let account = Account::new().await;
    let too_long = [("options", "too_long")];
    let define = |bytes| json!({"label": "Large", "type": "dropdown", "options": options_of_size(bytes)});
    let rejected = account.post("/fields", define(65_537)).await;
    rejected.expect_error(400, "validation_failed").expect_details(&too_long);
    account.define(define(65_536)).await;
    let patch = async |bytes| {
        let body = json!({"options": options_of_size(bytes)});
        account.call("PATCH", "/fields/large").json(&body).send().await
    };
    patch(65_537).await.expect_error(400, "validation_failed").expect_details(&too_long);
    // An older build has stored larger options.
    let update = "UPDATE fields SET options = $2 WHERE account_id = $1";
    let options = sqlx::types::Json(options_of_size(65_700));
    sqlx::query(update).bind(account.id).bind(options).execute(&mut account.database().await).await.unwrap();
    patch(65_701).await.expect_error(400, "validation_failed").expect_details(&too_long);
    patch(65_700).await.expect(200);
    patch(65_600).await.expect(200);
    patch(65_601).await.expect_error(400, "validation_failed").expect_details(&too_long);
    account.call("PATCH", "/fields/large").json(&json!({"label": "Larger"})).send().await.expect(200);
}

#[tokio::test]
async fn patch_of_a_field_changes_only_label_and_options() {
    let account = Account::new().await;
    account.define(json!({"label": "Size", "type": "dropdown", "options": [{"label": "S"}, {"label": "M"}]})).await;
    let before = account.get("/fields/size").await;
    let patch = |body: Value| account.call("PATCH", "/fields/size").json(&body).send();
    assert_eq!(patch(json!({})).await.expect(200).body, before.body);
    let options = json!([{"internal_name": "m", "label": "Medium"}, {"label": "L"}, {"label": "S"}]);
    let after = patch(json!({"label": "Shirt size", "options": options})).await.expect(200);
    assert_eq!(after.body["label"], "Shirt size");
    let expected_options = json!([{"internal_name": "m", "label": "Medium"}, {"internal_name": "l", "label": "L"},
                                  {"internal_name": "s", "label": "S"}]);
    assert_eq!(after.body["options"], expected_options);
    assert!(after.body["updated_at"].as_str() > before.body["updated_at"].as_str());
    for key in ["type", "unique", "internal_name"] {
        patch(json!({key: before.body[key]}))
            .await
            .expect_error(400, "validation_failed")
            .expect_details(&[(key, "forbidden_field")]);
    }
    patch(json!({"options": []})).await.expect_error(400, "validation_failed");
    let system = account.call("PATCH", "/fields/email").json(&json!({"label": "Mail"})).send().await;
    system.expect_error(400, "validation_failed").expect_details(&[("email", "forbidden_field")]);
    account
        .delete("/fields/email")
        .await
        .expect_error(400, "validation_failed")
        .expect_details(&[("email", "forbidden_field")]);
    account.call("PATCH", "/fields/nope").json(&json!({})).send().await.expect_error(404, "not_found");
    let invalid = account.call("PATCH", "/fields/nope").json(&json!({"label": ""})).send().await;
    invalid.expect_error(400, "validation_failed");
    account.call("PUT", "/fields/%20").send().await.expect_error(405, "method_not_allowed");
    account.delete("/fields/nope").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn removing_an_option_in_use_is_409() {
    let account = Account::new().await;
    let options = json!([{"label": "red"}, {"label": "green"}, {"label": "blue"}]);
    account.define(json!({"label": "one", "type": "dropdown", "options": options})).await;
    account.define(json!({"label": "many", "type": "multi_select", "options": options})).await;
    let id = account.create(json!({"first_name": "A", "one": "red", "many": ["green", "red"]})).await;
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    for (field, used) in [("one", vec!["red"]), ("many", vec!["green", "red"])] {
        let keep_blue = json!({"options": [{"label": "blue"}]});
        let response = account
            .call("PATCH", &format!("/fields/{field}"))
            .json(&keep_blue)
            .send()
            .await
            .expect_error(409, "option_in_use");
        assert!(
            used.iter().all(|option| response.body["message"].as_str().unwrap().contains(option)),
            "{}",
            response.text
        );
    }
    let keep_red = json!({"options": [{"label": "red"}]});
    account.call("PATCH", "/fields/one").json(&keep_red).send().await.expect(200);
    account.patch(&id, json!({})).await.expect_error(409, "contact_archived");
    let other = account.create(json!({"first_name": "B"})).await;
    account
        .patch(&other, json!({"one": "green"}))
        .await
        .expect_error(400, "validation_failed")
        .expect_details(&[("one", "invalid_option")]);
}

#[tokio::test]
async fn removing_an_option_and_writing_it_concurrently_never_both_succeed() {
    let account = Account::new().await;
    let other_instance = account.on_instance(&account.server.second_instance());
    for round in 0..5 {
        let field = format!("f{round}");
        account.define(json!({"label": field, "type": "dropdown", "options": [{"label": "a"}, {"label": "b"}]})).await;
        let id = account.create(json!({"first_name": "A"})).await;
        other_instance.get(&format!("/contacts/{id}")).await.expect(200);
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let (path, body) = (format!("/fields/{field}"), json!({"options": [{"label": "b"}]}));
        let (removal, write) = tokio::join!(
            account.call("PATCH", &path).json(&body).send(),
            other_instance.patch(&id, json!({&*field: "a"}))
        );
        let value = account.get(&format!("/contacts/{id}?properties={field}")).await.body[&*field].clone();
        match (removal.status, write.status) {
            (200, 400) => assert_eq!(value, Value::Null),
            (409, 200) => assert_eq!(value, "a"),
            other => panic!("{other:?}: {} {}", removal.text, write.text),
        }
    }
}

#[tokio::test]
async fn deleting_a_field_removes_its_values_and_leaves_contacts_unchanged() {
    let account = Account::new().await;
    account.define(json!({"label": "Badge", "type": "text", "unique": true})).await;
    let id = account.create(json!({"first_name": "A", "badge": "x"})).await;
    let before = account.get(&format!("/contacts/{id}?properties=version")).await;
    account.delete("/fields/badge").await.expect(204);
    account.get("/fields/badge").await.expect_error(404, "not_found");
    account.get(&format!("/contacts/{id}?properties=badge")).await.expect_error(400, "invalid_properties");
    account
        .patch(&id, json!({"badge": "y"}))
        .await
        .expect_error(400, "validation_failed")
        .expect_details(&[("badge", "unknown_field")]);
    let after = account.get(&format!("/contacts/{id}?properties=version")).await;
    assert_eq!(after.body, before.body);
    account.define(json!({"label": "Badge", "type": "text", "unique": true})).await;
    assert_eq!(account.get(&format!("/contacts/{id}?properties=badge")).await.body["badge"], Value::Null);
    let other = account.create(json!({"first_name": "B", "badge": "x"})).await;
    account.patch(&id, json!({"badge": "x"})).await.expect_error(409, "duplicate_contact");
    account.patch(&other, json!({"badge": null})).await.expect(200);
    assert_eq!(
        account.patch(&format!("{id}?properties=badge"), json!({"badge": "x"})).await.expect(200).body["badge"],
        "x"
    );
}

#[tokio::test]
async fn cleanup_deletes_the_stored_values_of_a_deleted_field() {
    let server = Server::with_own_database("field_cleanup", |_| {});
    let account = Account::on_server(&server);
    account.define(json!({"label": "Badge", "type": "text", "unique": true})).await;
    account.define(json!({"label": "Other", "type": "text"})).await;
    account.number_fields().await;
    let id = account.create(json!({"first_name": "A", "badge": "x", "other": "unchanged"})).await;
    account.delete("/fields/badge").await.expect(204);
    let before = account.get(&format!("/contacts/{id}?properties=other")).await;
    let mut database = account.database().await;
    // The cleanup waits until no running write can still know the field.
    let backdate_deletion = "UPDATE fields SET deleted_at = $1 WHERE deleted_at IS NOT NULL";
    let deleted_at = chrono::Utc::now() - Duration::from_secs(120);
    sqlx::query(backdate_deletion).bind(deleted_at).execute(&mut database).await.unwrap();
    let remaining = "SELECT (SELECT count(*) FROM contact_keys WHERE field_id >= 100) \
                + (SELECT count(*) FROM fields WHERE deleted_at IS NOT NULL) \
                + (SELECT count(*) FROM contacts WHERE custom ? '100')";
    for attempt in 0.. {
        let remaining: i64 = sqlx::query_scalar(remaining).fetch_one(&mut database).await.unwrap();
        if remaining == 0 {
            break;
        }
        assert!(attempt < 100, "{remaining} rows of the deleted field remain");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let after = account.get(&format!("/contacts/{id}?properties=other")).await;
    assert_eq!((after.etag(), after.body), (before.etag(), before.body));
}

#[tokio::test]
async fn field_change_is_visible_at_once_on_its_instance_and_within_5_seconds_on_others() {
    let account = Account::new().await;
    let other_instance = account.on_instance(&account.server.second_instance());
    let id = other_instance.create(json!({"first_name": "A"})).await;
    account.define(json!({"label": "Shoe size", "type": "number"})).await;
    account.patch(&id, json!({"shoe_size": 38})).await.expect(200);
    for attempt in 0.. {
        if other_instance.get(&format!("/contacts/{id}?properties=shoe_size")).await.status == 200 {
            break;
        }
        assert!(attempt < 50, "the field is not visible on the other instance within 5 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    account.delete("/fields/shoe_size").await.expect(204);
    // The other instance may not know of the deletion yet, but every write checks its fields again in its transaction.
    other_instance.patch(&id, json!({"shoe_size": 39})).await.expect_error(400, "validation_failed");
}
