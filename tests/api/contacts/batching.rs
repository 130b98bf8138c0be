//! The batched writer gives the answers of one write at a time: random operations go through both, and every answer and
//! the final state are compared.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::{Account, Answer, Server, at_once};

const CONTACTS: usize = 12;
const ROUNDS: usize = 60;

/// A write of one contact.
#[derive(Debug, Clone)]
enum Operation {
    Patch { fields: Value, tag: Tag },
    Archive,
    Restore,
}

/// What `If-Match` is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tag {
    None,
    Any,
    Fresh,
    Stale,
}

fn operation(contact: usize) -> impl Strategy<Value = Operation> {
    let text = prop_oneof![
        Just(json!("A")),
        Just(json!("B")),
        Just(json!(null)),
        Just(json!("")),
        Just(json!(7)),
        Just(json!("é😀"))
    ];
    let size = prop_oneof![Just(json!(1)), Just(json!(1.0)), Just(json!(2.5)), Just(json!(null)), Just(json!("1"))];
    let tags = prop_oneof![Just(json!(["red"])), Just(json!(["blue", "red"])), Just(json!([])), Just(json!(["pink"]))];
    // Its own key or one that contact 0 never gives up, so that the outcome does not depend on who comes first.
    let key = prop_oneof![Just(json!(format!("own-{contact}"))), Just(json!("taken")), Just(json!(null))];
    let fields = prop::collection::hash_map(0..5_usize, (text, size, tags, key), 0..4).prop_map(|chosen| {
        let value = |(index, (text, size, tags, key))| match index {
            0 => ("first_name".to_owned(), text),
            1 => ("job_title".to_owned(), text),
            2 => ("size".to_owned(), size),
            3 => ("tags".to_owned(), tags),
            _ => ("external_id".to_owned(), key),
        };
        Value::Object(chosen.into_iter().map(value).collect())
    });
    let tag = prop_oneof![6 => Just(Tag::None), 1 => Just(Tag::Any), 1 => Just(Tag::Fresh), 1 => Just(Tag::Stale)];
    prop_oneof![
        12 => (fields, tag).prop_map(|(fields, tag)| Operation::Patch { fields, tag }),
        1 => Just(Operation::Archive),
        1 => Just(Operation::Restore),
    ]
}

/// One side of the comparison: an account, its contacts, and their present tags.
struct Side {
    account: Account,
    ids: Vec<String>,
    tags: Vec<String>,
}

impl Side {
    async fn new(server: &Server) -> Self {
        let account = Account::on(server);
        account.define(json!({"label": "size", "type": "number"})).await;
        account
            .define(json!({"label": "tags", "type": "multi_select", "options": [{"label": "red"}, {"label": "blue"}]}))
            .await;
        let mut side = Self { account, ids: vec![], tags: vec![] };
        for index in 0..CONTACTS {
            let external_id = if index == 0 { "taken".to_owned() } else { format!("own-{index}") };
            let fields = json!({"first_name": "N", "external_id": external_id});
            let created = side.account.post("/contacts", json!({"fields": fields})).await.expect(201);
            side.ids.push(created.id());
            side.tags.push(created.etag());
        }
        side
    }

    fn send(&self, contact: usize, operation: &Operation) -> impl Future<Output = Answer> + Send + 'static {
        let path = format!("/contacts/{}", self.ids[contact]);
        let call = match operation {
            Operation::Archive => self.account.call("DELETE", &path),
            Operation::Restore => self.account.call("POST", &format!("{path}/restore")),
            Operation::Patch { fields, tag } => {
                let call = self.account.call("PATCH", &format!("{path}?properties=job_title,size,tags"));
                let call = call.json(&json!({"fields": fields}));
                match tag {
                    Tag::None => call,
                    Tag::Any => call.header("if-match", "*"),
                    Tag::Fresh => call.header("if-match", &self.tags[contact]),
                    Tag::Stale => call.header("if-match", "\"stale\""),
                }
            }
        };
        call.send()
    }

    fn learn(&mut self, contact: usize, answer: &Answer) {
        if answer.status == 200 {
            self.tags[contact] = answer.etag();
        }
    }

    /// An answer without what differs between the sides: ids and times.
    fn comparable(&self, answer: &Answer) -> Value {
        let mut body = answer.body.clone();
        for key in ["id", "created_at", "updated_at", "request_id"] {
            body.as_object_mut().map(|members| members.remove(key));
        }
        if body["archived"].is_string() {
            body["archived"] = json!(true);
        }
        let mut text = json!([answer.status, body]).to_string();
        for (index, id) in self.ids.iter().enumerate() {
            text = text.replace(id, &format!("contact-{index}"));
        }
        let version = answer.etag().split('-').nth(1).map(str::to_owned);
        json!([text, version])
    }

    async fn state(&self) -> Vec<Value> {
        let mut state = vec![];
        for id in &self.ids {
            let answer = self.account.get(&format!("/contacts/{id}?properties=job_title,size,tags")).await.expect(200);
            state.push(self.comparable(&answer));
        }
        state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_as_one_write_at_a_time_does() {
    let mut batched = Side::new(Server::shared()).await;
    let mut single = Side::new(&Server::shared().unbatched()).await;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for round in 0..ROUNDS {
        // Different contacts at once; contact 0 keeps its key and is left alone.
        let operations: Vec<_> = (1..CONTACTS)
            .map(|contact| (contact, operation(contact).new_tree(&mut runner).unwrap().current()))
            .collect();
        let together = at_once(
            operations.iter().map(|(contact, operation)| batched.send(*contact, operation)).collect::<Vec<_>>(),
        )
        .await;
        for ((contact, operation), answer) in operations.iter().zip(&together) {
            let alone = single.send(*contact, operation).await;
            assert_eq!(
                batched.comparable(answer),
                single.comparable(&alone),
                "round {round}, contact {contact}: {operation:?}"
            );
            batched.learn(*contact, answer);
            single.learn(*contact, &alone);
        }
    }
    assert_eq!(batched.state().await, single.state().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_never_fails_its_neighbours() {
    let account = Account::new().await;
    account.create(json!({"external_id": "taken", "first_name": "T"})).await;
    let mut ids = vec![];
    for index in 0..40 {
        ids.push(account.create(json!({"first_name": format!("{index}")})).await);
    }
    for round in 0..5 {
        let calls = ids.clone().into_iter().enumerate().map(|(index, id)| {
            let account = account.clone();
            async move {
                let fields = if index % 4 == 0 {
                    json!({"external_id": "taken"})
                } else {
                    json!({"job_title": format!("{round}")})
                };
                (index, account.patch(&format!("{id}?properties=job_title"), fields).await)
            }
        });
        for (index, answer) in at_once(calls).await {
            if index % 4 == 0 {
                answer.expect_error(409, "duplicate_contact");
            } else {
                assert_eq!(answer.expect(200).body["job_title"], format!("{round}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_someone_holds_delays_no_other() {
    let account = Account::new().await;
    let held = account.create(json!({"first_name": "held"})).await;
    let free = account.create(json!({"first_name": "free"})).await;
    let mut database = account.database().await;
    let lock = format!("BEGIN; SELECT 1 FROM contacts WHERE id = '{held}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut database).await.unwrap();
    let waiting = tokio::spawn({
        let (account, held) = (account.clone(), held.clone());
        async move { account.patch(&held, json!({"first_name": "B"})).await }
    });
    for turn in 0..20 {
        account.patch(&free, json!({"first_name": format!("{turn}")})).await.expect(200);
    }
    assert!(!waiting.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    assert_eq!(waiting.await.unwrap().expect(200).body["first_name"], "B");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_taken_in_between_never_loses_a_change() {
    // Someone else changes the row while the write waits for it: the write must build on what it then finds.
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for turn in 0..5 {
        let mut database = account.database().await;
        let change =
            format!("BEGIN; UPDATE contacts SET last_name = 'L{turn}', version = version + 1 WHERE id = '{id}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&mut database).await.unwrap();
        let waiting = tokio::spawn({
            let (account, id) = (account.clone(), id.clone());
            async move { account.patch(&id, json!({"first_name": format!("B{turn}")})).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
        let answer = waiting.await.unwrap().expect(200);
        assert_eq!(
            (&answer.body["first_name"], &answer.body["last_name"]),
            (&json!(format!("B{turn}")), &json!(format!("L{turn}")))
        );
    }
}
