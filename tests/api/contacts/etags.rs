//! Entity tags of contacts: what changes them, and which forms of them writes and reads accept.

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse};

/// Sends a PATCH that changes nothing with this `If-Match`.
async fn touch(account: &Account, id: &str, tag: &str) -> ApiResponse {
    let call = account.call("PATCH", &format!("/contacts/{id}")).header("if-match", tag);
    call.json(&json!({"fields": {}})).send().await
}

/// Reads a contact with this `If-None-Match`. Returns the status.
async fn revalidate(account: &Account, id_and_query: &str, tag: &str) -> u16 {
    account.call("GET", &format!("/contacts/{id_and_query}")).header("if-none-match", tag).send().await.status
}

/// Returns the part of a tag that identifies the state of the contact.
fn version_part(tag: &str) -> &str {
    tag.split_once('.').unwrap().0
}

#[tokio::test]
async fn etag_depends_on_the_selected_properties_and_their_order() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let tag = async |query: &str| account.get(&format!("/contacts/{id}{query}")).await.expect(200).etag();
    let mut tags = vec![];
    for query in ["", "?properties=phone", "?properties=phone,website", "?properties=website,phone"] {
        tags.push(tag(query).await);
        assert_eq!(revalidate(&account, &format!("{id}{query}"), &tags[tags.len() - 1]).await, 304);
    }
    assert_eq!(revalidate(&account, &format!("{id}?properties=phone"), &tags[0]).await, 200);
    assert!(tags.iter().all(|other| version_part(other) == version_part(&tags[0])), "{tags:?}");
    assert_eq!(tag("?properties=email,phone,phone").await, tags[1]);
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 4);
    // A write accepts the tag of every selection.
    for tag in tags {
        touch(&account, &id, &tag).await.expect(200);
    }
}

#[tokio::test]
async fn every_response_with_a_contact_has_the_tag_of_its_selection() {
    let account = Account::new().await;
    let created =
        account.post("/contacts?properties=phone", json!({"fields": {"external_id": "x", "email": "a@b.cd"}}));
    let created = created.await.expect(201);
    let id = created.id();
    let path = format!("/contacts/{id}?properties=phone");
    let read = async || account.get(&path).await.expect(200).etag();
    assert_eq!(created.etag(), read().await);
    let patched = account.patch(&format!("{id}?properties=phone"), json!({"phone": "1234567"})).await.expect(200);
    assert_eq!(patched.etag(), read().await);
    let put = account.put("x?id_property=external_id&properties=phone", json!({"phone": "7654321"})).await.expect(200);
    assert_eq!(put.etag(), read().await);
    assert_eq!(account.get("/contacts/x?id_property=external_id&properties=phone").await.etag(), read().await);
    assert_eq!(account.delete(&path).await.expect(200).etag(), read().await);
    let restore = account.call("POST", &format!("/contacts/{id}/restore?properties=phone")).send().await.expect(200);
    assert_eq!(restore.etag(), read().await);
    let again = account.call("POST", &format!("/contacts/{id}/restore?properties=phone")).send().await.expect(200);
    assert_eq!(again.etag(), restore.etag());
}

#[tokio::test]
async fn deleting_or_changing_a_field_changes_the_etag_but_not_the_version() {
    let account = Account::new().await;
    let tags = json!({"label": "Tags", "type": "multi_select", "options": [{"label": "Red"}, {"label": "Blue"}]});
    account.define(tags.clone()).await;
    account.define(json!({"label": "Badge", "type": "text"})).await;
    let id = account.create(json!({"first_name": "A", "tags": ["red", "blue"], "badge": "x"})).await;
    let path = format!("{id}?properties=tags,version");
    let before = account.get(&format!("/contacts/{path}")).await.expect(200);
    let badge = account.get(&format!("/contacts/{id}?properties=badge")).await.expect(200);
    let reorder = account.call("PATCH", "/fields/tags");
    reorder.json(&json!({"options": [{"label": "Blue"}, {"label": "Red"}]})).send().await.expect(200);
    let reordered = account.get(&format!("/contacts/{path}")).await.expect(200);
    assert_eq!(reordered.body["tags"], json!(["blue", "red"]));
    assert_eq!(revalidate(&account, &path, &before.etag()).await, 200);
    assert_ne!(reordered.etag(), before.etag());
    assert_eq!(reordered.body["version"], before.body["version"]);
    // A field that is deleted and defined again has no value.
    account.delete("/fields/badge").await.expect(204);
    account.define(json!({"label": "Badge", "type": "text"})).await;
    assert_eq!(revalidate(&account, &format!("{id}?properties=badge"), &badge.etag()).await, 200);
    let after = account.get(&format!("/contacts/{id}?properties=badge,version")).await.expect(200);
    assert_eq!((&after.body["badge"], &after.body["version"]), (&Value::Null, &before.body["version"]));
    assert_eq!(after.body["updated_at"], before.body["updated_at"]);
    // No contact has changed, so every earlier tag still allows a write.
    for tag in [before.etag(), badge.etag(), reordered.etag()] {
        touch(&account, &id, &tag).await.expect(200);
    }
}

#[tokio::test]
async fn writes_accept_every_form_of_the_current_tag() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    account.patch(&id, json!({"last_name": "B"})).await.expect(200);
    let tag = account.get(&format!("/contacts/{id}")).await.etag();
    let opaque = tag.trim_matches('"');
    let simple_id = id.replace('-', "");
    for accepted in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"{opaque}-gzip\""),
        format!("W/\"{opaque}-gzip\""),
        format!("\"x,y\", {tag}"),
        // The form of the build before.
        format!("\"{simple_id}-2\""),
        format!("W/\"{simple_id}-2\""),
        format!("\"{simple_id}-2-gzip\""),
    ] {
        touch(&account, &id, &accepted).await.expect(200);
        let patch = account.call("PATCH", &format!("/contacts/{id}")).header("if-none-match", &accepted);
        patch.json(&json!({"fields": {}})).send().await.expect_error(412, "precondition_failed");
    }
    for rejected in [
        opaque.to_owned(),
        format!("\"{simple_id}-1\""),
        format!("\"{simple_id}-3\""),
        format!("\"{id}-2\""),
        format!("\"x{opaque}\""),
        format!("\"{}\"", version_part(opaque)),
    ] {
        touch(&account, &id, &rejected).await.expect_error(412, "precondition_failed");
    }
}

#[tokio::test]
async fn read_compares_the_whole_tag() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let tag = account.get(&format!("/contacts/{id}")).await.etag();
    let opaque = tag.trim_matches('"');
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
        assert_eq!(revalidate(&account, &id, &known).await, 304, "{known}");
    }
    let old_form = format!("\"{}-1\"", id.replace('-', ""));
    for unknown in [format!("\"{opaque}-gzip\""), format!("{}.x\"", version_part(&tag)), opaque.into(), old_form] {
        assert_eq!(revalidate(&account, &id, &unknown).await, 200, "{unknown}");
    }
}

/// A failover can lose the last writes. The next write then gives the same version to another state of the contact.
#[tokio::test]
async fn tag_of_a_lost_write_does_not_match() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let path = format!("/contacts/{id}?properties=version");
    let lost = account.patch(&format!("{id}?properties=version"), json!({"first_name": "lost"})).await.expect(200);
    let undo = "UPDATE contacts SET version = 1, first_name = 'A', updated_at = created_at WHERE account_id = $1";
    sqlx::query(undo).bind(account.id).execute(&mut account.database().await).await.unwrap();
    account.patch(&id, json!({"first_name": "B"})).await.expect(200);
    let read = account.get(&path).await;
    assert_eq!((&read.body["version"], &lost.body["version"]), (&json!(2), &json!(2)));
    touch(&account, &id, &lost.etag()).await.expect_error(412, "precondition_failed");
    assert_eq!(revalidate(&account, &format!("{id}?properties=version"), &lost.etag()).await, 200);
}

#[tokio::test]
async fn contacts_created_at_the_same_time_have_different_tags() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..20).map(|number| json!({"fields": {"first_name": number.to_string()}})).collect();
    let created = account.batch("create", json!({"inputs": inputs})).await.expect(200);
    let mut tags = vec![];
    for result in created.body["results"].as_array().unwrap() {
        let id = result["contact"]["id"].as_str().unwrap();
        tags.push(account.get(&format!("/contacts/{id}")).await.etag());
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 20);
}
