//! What an account has that another must not see: names, values and handles, each of which can be looked for.

use contacts::clients::{ClientId, SecretHash, new_secret};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, Reader, encoded};

/// What an account gives its own things, and what an intruder may have heard of.
#[derive(Clone, Debug)]
pub(super) struct Things {
    pub(super) active: String,
    pub(super) archived: String,
    pub(super) email: String,
    pub(super) external_id: String,
    /// The value of a unique custom field.
    pub(super) badge: String,
    /// That field's name.
    pub(super) field: String,
    /// A dropdown, and an option of it.
    pub(super) choice: String,
    pub(super) option: String,
    /// A first name, in one word.
    pub(super) name: String,
    pub(super) actor: String,
    pub(super) contact_tag: String,
    pub(super) document_tag: String,
    pub(super) list_cursor: String,
    pub(super) search_cursor: String,
    pub(super) feed_cursor: String,
    pub(super) history_cursor: String,
    pub(super) idempotency_key: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
}

impl Things {
    /// Those of nobody: names and values of the same length as all others have, and handles of the same form.
    pub(super) fn of_nobody() -> Self {
        let mut things = Self::named(&word());
        let cursor = |bytes: usize| "A".repeat(bytes);
        things.list_cursor = cursor(32);
        things.search_cursor = cursor(80);
        (things.feed_cursor, things.history_cursor) = (cursor(32), cursor(32));
        things
    }

    fn named(word: &str) -> Self {
        let id = || Uuid::now_v7().to_string();
        Self {
            active: id(),
            archived: id(),
            email: format!("{word}@example.com"),
            external_id: format!("{word}-external"),
            badge: format!("{word}-badge"),
            field: format!("{word}_field"),
            choice: format!("{word}_choice"),
            option: format!("{word}_option"),
            name: format!("Name{word}"),
            actor: format!("{word}-actor"),
            contact_tag: format!("\"{word}\""),
            document_tag: format!("\"{word}\""),
            list_cursor: String::new(),
            search_cursor: String::new(),
            feed_cursor: String::new(),
            history_cursor: String::new(),
            idempotency_key: format!("{word}-key"),
            client_id: ClientId::new(Uuid::now_v7()).to_string(),
            client_secret: new_secret().unwrap().expose().to_owned(),
        }
    }

    /// Every text that leads to something of the owner.
    pub(super) fn all(&self) -> [&str; 19] {
        let Self { active, archived, email, external_id, badge, field, choice, option, name, actor, .. } = self;
        let Self { contact_tag, document_tag, list_cursor, search_cursor, feed_cursor, history_cursor, .. } = self;
        let Self { idempotency_key, client_id, client_secret, .. } = self;
        [
            active,
            archived,
            email,
            external_id,
            badge,
            field,
            choice,
            option,
            name,
            actor,
            contact_tag,
            document_tag,
            list_cursor,
            search_cursor,
            feed_cursor,
            history_cursor,
            idempotency_key,
            client_id,
            client_secret,
        ]
    }
}

/// A word that stands nowhere else.
fn word() -> String {
    format!("zq{}", &Uuid::new_v4().simple().to_string()[..12])
}

/// An account with something of everything.
pub(super) struct Estate {
    pub(super) owner: Account,
    pub(super) things: Things,
    /// In every value that is never told to anyone.
    pub(super) untold: String,
}

impl Estate {
    pub(super) async fn new() -> Self {
        let mut things = Things::named(&word());
        let untold = word();
        let account = Account::new().await;
        let claims = json!({"account_id": account.id, "sub": things.actor, "exp": crate::support::in_seconds(3_600)});
        let owner = account.with_token(crate::support::sign(&claims));
        let label = |what: &str| format!("{what} {untold}");
        let (field, choice, option) = (&things.field, &things.choice, &things.option);
        owner.define(json!({"internal_name": field, "label": label("Field"), "type": "text", "unique": true})).await;
        let options = json!([{"internal_name": option, "label": label("Option")}, {"label": "Other"}]);
        let dropdown =
            json!({"internal_name": choice, "label": label("Choice"), "type": "dropdown", "options": options});
        owner.define(dropdown).await;
        let fields = json!({
            "first_name": things.name, "last_name": label("Last"), "job_title": label("Title"), "phone": "+1 555 0100",
            "email": things.email, "external_id": things.external_id,
            field.clone(): things.badge, choice.clone(): option,
        });
        things.active = owner.create(fields).await;
        owner.patch(&things.active, json!({"company_name": format!("Company {untold}")})).await.expect(200);
        things.contact_tag = owner.get(&format!("/contacts/{}", things.active)).await.etag();
        things.archived = owner.create(json!({"first_name": format!("Archived {untold}")})).await;
        owner.delete(&format!("/contacts/{}", things.archived)).await.expect(200);
        owner.create(json!({"first_name": format!("Another {untold}")})).await;
        let mut estate = Self { owner, things, untold };
        estate.keep_an_answer().await;
        estate.find_cursors().await;
        estate.make_a_client().await;
        estate
    }

    /// What the owner sends with the key. An intruder sends the same.
    pub(super) fn kept_request() -> Value {
        json!({"fields": {"first_name": "The same of both"}})
    }

    async fn keep_an_answer(&self) {
        let call = self.owner.call("POST", "/contacts").header("idempotency-key", &self.things.idempotency_key);
        call.json(&Self::kept_request()).send().await.expect(201);
    }

    async fn find_cursors(&mut self) {
        let next = |answer: &Value| answer["next"].as_str().unwrap().to_owned();
        let page = self.owner.get("/contacts?limit=1").await.expect(200);
        self.things.list_cursor = next(&page.body["pagination"]);
        let found = self.owner.post("/contacts/search", json!({"limit": 1, "sorts": ["first_name"]})).await.expect(200);
        self.things.search_cursor = next(&found.body["pagination"]);
        self.things.feed_cursor = next(&self.owner.get("/contacts/changes?limit=1").await.expect(200).body);
        let history = format!("/contacts/{}/history?limit=1", self.things.active);
        self.things.history_cursor = next(&self.owner.get(&history).await.expect(200).body);
        self.things.document_tag = self.owner.get("/openapi.json").await.etag();
    }

    async fn make_a_client(&mut self) {
        let (name, secret) = (format!("Client {}", self.untold).parse().unwrap(), new_secret().unwrap());
        let repository = self.owner.server.repository();
        let id = repository.create_client(self.owner.id, &name, None, &SecretHash::of(&secret)).await.unwrap();
        (self.things.client_id, self.things.client_secret) = (id.to_string(), secret.expose().to_owned());
        repository.close().await;
    }

    /// All that the owner sees, byte for byte, and all that the database holds of it.
    pub(super) async fn seen(&self) -> Vec<String> {
        let Things { active, archived, email, field, choice, .. } = &self.things;
        let mut seen = self.owner.stored().await;
        for path in [
            format!("/contacts?archived=true&limit=100&properties={field},{choice},job_title,company_name,archived_by"),
            format!("/contacts?email={}", encoded(email)),
            format!("/contacts/{active}/history"),
            format!("/contacts/{archived}/history"),
            "/fields".to_owned(),
            "/openapi.json".to_owned(),
        ] {
            let answer = self.owner.get(&path).await.expect(200);
            seen.push(format!("{path}: {} {}", answer.etag(), answer.text));
        }
        seen.extend(Reader::all_of(&self.owner).await.iter().map(Value::to_string));
        seen
    }
}
