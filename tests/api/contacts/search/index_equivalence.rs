//! Searches with the search index return the same contacts in the same order as searches that read all contacts, while contacts
//! are written and while the index is built.

use serde_json::{Value, json};

use crate::support::{Account, SeededRandom, Server, test_seed};

/// More contacts than a search reads in order before it uses the index.
const CONTACTS: usize = 3_000;
/// The number of the first and of the last contacts that have a name which is rare otherwise. A search that estimates from the
/// first contacts how many match is wrong about it.
const WITH_CLUSTERED_NAME: usize = 200;

const FIRST_NAMES: [&str; 8] = ["Ada", "ADA", "ada-Lu", "Åsa", "Οδυσσευς", "Σίσυφος", "", "Zoë"];
const LAST_NAMES: [&str; 9] =
    ["Lovelace", "lovelace", "O'Hara", "de la Cruz", "Straße", "STRASSE", "İnan", "Ñandú", ""];
const COMPANIES: [&str; 5] = ["Analytical Engines Ltd", "engines & more", "(Ltd) Söhne", "C++ GmbH", ""];
const WORDS: [&str; 34] = [
    "clustered",
    "clust",
    "ada",
    "ADA",
    "a",
    "lu",
    "lovelace",
    "love",
    "o'ha",
    "hara",
    "de",
    "cruz",
    "strass",
    "STRASSE",
    "straße",
    "i",
    "ñan",
    "engin",
    "eng",
    "ltd",
    "(ltd",
    "&",
    "c++",
    "@example",
    "example.com",
    "+49",
    "49",
    "555",
    "x1",
    "σισυφος",
    "ΣΊΣΥΦΟΣ",
    "ΟΔΥΣΣΕΥΣ",
    "rare",
    "nobody",
];
const FIELDS: [&str; 6] = ["first_name", "last_name", "email", "phone", "mobile_phone", "company_name"];

/// The same contacts in an account with a search index and in one without.
struct Accounts {
    indexed: Account,
    scanned: Account,
    /// The ids of each contact in both accounts. The external id is the number in this list, from 1 on.
    ids: Vec<[String; 2]>,
    random: SeededRandom,
}

impl Accounts {
    fn start(name: &str) -> Self {
        let account = |name: String, min| Account::on_server(&Server::with_search_index(&name, min));
        Self {
            indexed: account(format!("{name}_indexed"), 1),
            scanned: account(format!("{name}_scanned"), u32::MAX),
            ids: vec![],
            random: SeededRandom::new(test_seed()),
        }
    }

    /// Sends the same request about a contact to both accounts. It must have the same status.
    async fn send(&self, method: &str, contact: usize, action: &str, body: Option<Value>) {
        let mut statuses = vec![];
        for (account, id) in [&self.indexed, &self.scanned].into_iter().zip(&self.ids[contact]) {
            let call = account.call(method, &format!("/contacts/{id}{action}"));
            let call = if let Some(body) = &body { call.json(body) } else { call };
            statuses.push(call.send().await.status);
        }
        let is_expected = [200, 204, 400, 404, 409].contains(&statuses[0]);
        assert!(is_expected && statuses[0] == statuses[1], "{method} {action}: {statuses:?}");
    }

    fn random_fields(&mut self, number: usize) -> Value {
        let random = &mut self.random;
        let text = |texts: &[&str], random: &mut SeededRandom| match *random.choose(texts) {
            "" => Value::Null,
            text => json!(text),
        };
        let is_clustered = number < WITH_CLUSTERED_NAME || number + WITH_CLUSTERED_NAME > CONTACTS;
        let phone = format!("+49 {} {}", 30 + random.below(5), 1_000 + random.below(9_000));
        json!({
            "first_name": text(&FIRST_NAMES, random),
            "last_name": if is_clustered && random.one_in(20) { json!("Clustered") } else if random.one_in(200) { json!(format!("Rare {}", random.below(3))) } else { text(&LAST_NAMES, random) },
            "email": if random.one_in(3) { Value::Null } else { json!(format!("X{number}.ada@example.com")) },
            "phone": if random.one_in(2) { Value::Null } else { json!(phone) },
            "mobile_phone": if random.one_in(4) { json!(format!("555-10{}", random.below(40))) } else { Value::Null },
            "company_name": text(&COMPANIES, random),
            "job_title": "Analyst",
        })
    }

    /// Creates contacts in one request.
    async fn create(&mut self, count: usize) {
        let first = self.ids.len() + 1;
        let mut input = |number: usize| {
            let mut fields = self.random_fields(number);
            fields["external_id"] = json!(number.to_string());
            if ["first_name", "last_name", "email"].iter().all(|field| fields[field].is_null()) {
                fields["first_name"] = json!("Eve");
            }
            json!({"fields": fields})
        };
        let body = json!({"inputs": (first..first + count).map(&mut input).collect::<Vec<_>>()});
        let created = self.indexed.batch("create", body.clone()).await.expect(200).body;
        let also_created = self.scanned.batch("create", body).await.expect(200).body;
        for index in 0..count {
            let id = |body: &Value| body["results"][index]["contact"]["id"].as_str().unwrap().to_owned();
            self.ids.push([id(&created), id(&also_created)]);
        }
    }

    /// Changes contacts with `contacts import`. A purged contact is created again.
    fn import(&mut self) {
        let numbers: Vec<_> = (0..50).map(|_| self.random.below(self.ids.len() as u64)).collect();
        let mut line = |number: u64| {
            let fields = self.random_fields(usize::try_from(number).unwrap());
            let cell = |name: &str| format!("\"{}\"", fields[name].as_str().unwrap_or_default());
            let cells = ["last_name", "company_name", "mobile_phone"].map(cell).join(",");
            format!("{},{cells}\n", number + 1)
        };
        let lines: String = numbers.into_iter().map(&mut line).collect();
        let csv = format!("external_id,last_name,company_name,mobile_phone\n{lines}");
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join("people.csv"), csv).unwrap();
        for account in [&self.indexed, &self.scanned] {
            let mut import = std::process::Command::new(env!("CARGO_BIN_EXE_contacts"));
            import.args(["import", "people.csv", "--match", "external_id", "--account", &account.id.to_string()]);
            import.env_clear().env("DATABASE_URL", &account.server.database_url).current_dir(folder.path());
            let output = import.output().unwrap();
            // A row without a name, of a purged contact, is rejected.
            let is_expected = [Some(0), Some(1)].contains(&output.status.code());
            assert!(is_expected, "{}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// Changes contacts, or creates one.
    async fn write(&mut self) {
        if self.random.one_in(60) {
            return self.import();
        }
        let contact = usize::try_from(self.random.below(self.ids.len() as u64)).unwrap();
        match self.random.below(10) {
            0 => self.create(1).await,
            1 => self.send("DELETE", contact, "", None).await,
            2 => self.send("POST", contact, "/restore", None).await,
            3 => self.send("POST", contact, "/purge", None).await,
            4 => self.send("PATCH", contact, "", Some(json!({"fields": {"job_title": "Countess"}}))).await,
            _ => {
                let fields = self.random_fields(contact);
                let field = *self.random.choose(&FIELDS);
                self.send("PATCH", contact, "", Some(json!({"fields": {field: fields[field]}}))).await;
            }
        }
    }

    fn random_filter(&mut self) -> Value {
        let field = *self.random.choose(&FIELDS);
        let number = usize::try_from(self.random.below(self.ids.len() as u64)).unwrap();
        let values = self.random_fields(number);
        match self.random.below(4) {
            0 if !values[field].is_null() => json!({"property": field, "operator": "eq", "value": values[field]}),
            1 => json!({"property": field, "operator": "starts_with", "value": self.random.choose(&WORDS)}),
            2 => {
                let mobile_phones: Vec<_> = (0..3).map(|_| format!("555-10{}", self.random.below(40))).collect();
                json!({"property": "mobile_phone", "operator": "in", "value": mobile_phones})
            }
            _ => json!({"property": "company_name", "operator": "has_value"}),
        }
    }

    fn random_search(&mut self) -> Value {
        let filters = |accounts: &mut Self, max| {
            let count = accounts.random.below(max);
            (0..count).map(|_| accounts.random_filter()).collect::<Vec<_>>()
        };
        let words: Vec<_> = (0..self.random.below(3)).map(|_| *self.random.choose(&WORDS)).collect();
        let groups: Vec<_> = if self.random.one_in(4) {
            (0..2).map(|_| json!({"filters": [self.random_filter()]})).collect()
        } else {
            vec![]
        };
        let sort = *self.random.choose(&[
            "",
            "",
            "",
            "last_name",
            "-last_name",
            "-company_name",
            "mobile_phone",
            "-email",
            "-id",
            "first_name",
            "phone",
        ]);
        json!({
            "query": words.join(" "),
            "filters": filters(self, 3),
            "filter_groups": groups,
            "sorts": if sort.is_empty() { json!([]) } else { json!([sort]) },
            "archived": self.random.one_in(3),
            "limit": 1 + self.random.below(20),
            "properties": ["external_id"],
        })
    }

    /// Compares the first pages of a random search.
    async fn compare(&mut self) {
        let body = self.random_search();
        let indexed = first_pages(&self.indexed, body.clone()).await;
        assert_eq!(indexed, first_pages(&self.scanned, body.clone()).await, "{body}");
    }
}

/// Returns the external ids on the first three pages.
async fn first_pages(account: &Account, mut body: Value) -> Vec<Value> {
    let mut ids = vec![];
    for _ in 0..3 {
        let page = account.post("/contacts/search", body.clone()).await.expect(200).body;
        ids.extend(page["data"].as_array().unwrap().iter().map(|contact| contact["external_id"].clone()));
        if page["pagination"]["next"].is_null() {
            break;
        }
        body["after"] = page["pagination"]["next"].clone();
    }
    ids
}

#[tokio::test]
async fn indexed_search_equals_search_of_all_contacts_while_contacts_are_written() {
    let mut accounts = Accounts::start("search_equivalence");
    while accounts.ids.len() < CONTACTS {
        accounts.create(500).await;
        accounts.compare().await;
    }
    for _ in 0..400 {
        for _ in 0..accounts.random.below(3) {
            accounts.write().await;
        }
        accounts.compare().await;
    }
    super::index::wait_until_complete(&accounts.indexed).await;
    for _ in 0..200 {
        accounts.compare().await;
    }
}
