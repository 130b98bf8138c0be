//! An account with data of every kind that no other account may see. Each of its values is unique, so that a response
//! can be searched for it.

use contacts::clients::{ClientId, SecretHash, generate_secret};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, FeedReader, percent_encoded};

/// The ids, values, ETags, cursors and credentials of an account. An intruder sends them in its requests.
#[derive(Clone, Debug)]
pub(super) struct Identifiers {
    pub(super) active: String,
    pub(super) archived: String,
    pub(super) email: String,
    pub(super) external_id: String,
    /// The value of a unique custom field.
    pub(super) badge: String,
    /// The name of that field.
    pub(super) field: String,
    /// The name of a dropdown field.
    pub(super) choice: String,
    /// An option of that field.
    pub(super) option: String,
    /// A first name of one word.
    pub(super) name: String,
    pub(super) actor: String,
    pub(super) contact_etag: String,
    pub(super) document_etag: String,
    pub(super) list_cursor: String,
    pub(super) search_cursor: String,
    pub(super) feed_cursor: String,
    pub(super) history_cursor: String,
    pub(super) idempotency_key: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
}

impl Identifiers {
    /// Returns identifiers that belong to no account, of the same length and form as the ids of a real account.
    pub(super) fn new_unused() -> Self {
        let mut identifiers = Self::from_word(&unique_word());
        let cursor = |bytes: usize| "A".repeat(bytes);
        identifiers.list_cursor = cursor(32);
        identifiers.search_cursor = cursor(80);
        (identifiers.feed_cursor, identifiers.history_cursor) = (cursor(32), cursor(32));
        identifiers
    }

    fn from_word(word: &str) -> Self {
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
            contact_etag: format!("\"{word}\""),
            document_etag: format!("\"{word}\""),
            list_cursor: String::new(),
            search_cursor: String::new(),
            feed_cursor: String::new(),
            history_cursor: String::new(),
            idempotency_key: format!("{word}-key"),
            client_id: ClientId::new(Uuid::now_v7()).to_string(),
            client_secret: generate_secret().unwrap().expose().to_owned(),
        }
    }

    /// Returns all identifiers.
    pub(super) fn values(&self) -> [&str; 19] {
        let Self { active, archived, email, external_id, badge, field, choice, option, name, actor, .. } = self;
        let Self { contact_etag, document_etag, list_cursor, search_cursor, feed_cursor, history_cursor, .. } = self;
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
            contact_etag,
            document_etag,
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

/// Returns a word that occurs nowhere else.
fn unique_word() -> String {
    format!("zq{}", &Uuid::new_v4().simple().to_string()[..12])
}

/// An account with data of every kind.
pub(super) struct Tenant {
    pub(super) owner: Account,
    pub(super) identifiers: Identifiers,
    /// A word in each value that the intruder does not know.
    pub(super) secret_word: String,
}

impl Tenant {
    /// Creates an account with contacts, fields, a stored idempotent response and an API client.
    pub(super) async fn new() -> Self {
        let mut identifiers = Identifiers::from_word(&unique_word());
        let secret_word = unique_word();
        let account = Account::new().await;
        let claims =
            json!({"account_id": account.id, "sub": identifiers.actor, "exp": crate::support::timestamp_in(3_600)});
        let owner = account.with_token(crate::support::sign(&claims));
        let label = |name: &str| format!("{name} {secret_word}");
        let (field, choice, option) = (&identifiers.field, &identifiers.choice, &identifiers.option);
        owner.define(json!({"internal_name": field, "label": label("Field"), "type": "text", "unique": true})).await;
        let options = json!([{"internal_name": option, "label": label("Option")}, {"label": "Other"}]);
        let dropdown =
            json!({"internal_name": choice, "label": label("Choice"), "type": "dropdown", "options": options});
        owner.define(dropdown).await;
        let fields = json!({
            "first_name": identifiers.name, "last_name": label("Last"), "job_title": label("Title"),
            "phone": "+1 555 0100", "email": identifiers.email, "external_id": identifiers.external_id,
            field.clone(): identifiers.badge, choice.clone(): option,
        });
        identifiers.active = owner.create(fields).await;
        owner.patch(&identifiers.active, json!({"company_name": format!("Company {secret_word}")})).await.expect(200);
        identifiers.contact_etag = owner.get(&format!("/contacts/{}", identifiers.active)).await.etag();
        identifiers.archived = owner.create(json!({"first_name": format!("Archived {secret_word}")})).await;
        owner.delete(&format!("/contacts/{}", identifiers.archived)).await.expect(200);
        owner.create(json!({"first_name": format!("Another {secret_word}")})).await;
        let mut tenant = Self { owner, identifiers, secret_word };
        tenant.store_idempotent_response().await;
        tenant.collect_cursors_and_etags().await;
        tenant.create_client().await;
        tenant
    }

    /// Returns the body that the owner sends with its idempotency key. The intruder sends the same body.
    pub(super) fn idempotent_body() -> Value {
        json!({"fields": {"first_name": "The same of both"}})
    }

    async fn store_idempotent_response(&self) {
        let call = self.owner.call("POST", "/contacts").header("idempotency-key", &self.identifiers.idempotency_key);
        call.json(&Self::idempotent_body()).send().await.expect(201);
    }

    async fn collect_cursors_and_etags(&mut self) {
        let next = |response: &Value| response["next"].as_str().unwrap().to_owned();
        let page = self.owner.get("/contacts?limit=1").await.expect(200);
        self.identifiers.list_cursor = next(&page.body["pagination"]);
        let page = self.owner.post("/contacts/search", json!({"limit": 1, "sorts": ["first_name"]})).await.expect(200);
        self.identifiers.search_cursor = next(&page.body["pagination"]);
        self.identifiers.feed_cursor = next(&self.owner.get("/contacts/changes?limit=1").await.expect(200).body);
        let history = format!("/contacts/{}/history?limit=1", self.identifiers.active);
        self.identifiers.history_cursor = next(&self.owner.get(&history).await.expect(200).body);
        self.identifiers.document_etag = self.owner.get("/openapi.json").await.etag();
    }

    async fn create_client(&mut self) {
        let (name, secret) = (format!("Client {}", self.secret_word).parse().unwrap(), generate_secret().unwrap());
        let repository = self.owner.server.repository();
        let id = repository.create_client(self.owner.id, &name, None, &SecretHash::from_secret(&secret)).await.unwrap();
        (self.identifiers.client_id, self.identifiers.client_secret) = (id.to_string(), secret.expose().to_owned());
        repository.close().await;
    }

    /// Returns all stored rows of the owner and all its data as the API returns it, byte for byte.
    pub(super) async fn snapshot(&self) -> Vec<String> {
        let Identifiers { active, archived, email, field, choice, .. } = &self.identifiers;
        let mut snapshot = self.owner.stored_rows().await;
        for path in [
            format!("/contacts?archived=true&limit=100&properties={field},{choice},job_title,company_name,archived_by"),
            format!("/contacts?email={}", percent_encoded(email)),
            format!("/contacts/{active}/history"),
            format!("/contacts/{archived}/history"),
            "/fields".to_owned(),
            "/openapi.json".to_owned(),
        ] {
            let response = self.owner.get(&path).await.expect(200);
            snapshot.push(format!("{path}: {} {}", response.etag(), response.text));
        }
        snapshot.extend(FeedReader::read_entire_feed(&self.owner).await.iter().map(Value::to_string));
        snapshot
    }
}
