//! Linearizability: concurrent calls on two instances have results that are possible if the calls run one after
//! another, each between its start and its end. The change feed gives that order. The test compares it with the
//! response and the times of every call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::concurrent_writers::skip_writes_at_random;
use crate::support::{Account, ApiResponse, FeedReader, SeededRandom, Server, run_concurrently, test_seed};

/// The number of concurrent clients.
const CLIENTS: u64 = 16;
const CONTACTS: usize = 5;
const KEYS: [&str; 3] = ["k0", "k1", "k2"];
/// The number of calls of each client without `LINEARIZABLE_CALLS`.
const CALLS: usize = 150;

/// A call with its start, its end and its response.
struct CompletedCall {
    start: Instant,
    end: Instant,
    contact: String,
    /// The value that a write sets. No other write sets the same value.
    mark: Option<String>,
    /// The key that a write claims.
    key: Option<&'static str>,
    response: ApiResponse,
}

impl CompletedCall {
    fn is_write(&self) -> bool {
        self.mark.is_some() && self.response.status == 200
    }

    /// Returns whether this call ended before the other one started.
    fn precedes(&self, other: &Self) -> bool {
        self.end < other.start
    }
}

/// Sends random reads and writes and returns them with their responses.
async fn send_calls(account: Account, contacts: Arc<Vec<String>>, seed: u64, count: usize) -> Vec<CompletedCall> {
    let mut random = SeededRandom::new(seed);
    let mut calls = vec![];
    for turn in 0..count {
        let contact = random.choose(&contacts).clone();
        let start = Instant::now();
        let (mark, key, response) = if random.one_in(3) {
            (None, None, account.get(&format!("/contacts/{contact}?properties=job_title")).await)
        } else {
            let mark = format!("{seed}-{turn}");
            let key = random.one_in(2).then(|| *random.choose(&KEYS));
            let mut fields = json!({"job_title": mark});
            if random.one_in(2) {
                fields["external_id"] = json!(key);
            }
            let claimed = key.filter(|_| fields["external_id"].is_string());
            (Some(mark), claimed, account.patch(&format!("{contact}?properties=job_title"), fields).await)
        };
        calls.push(CompletedCall { start, end: Instant::now(), contact, mark, key, response });
    }
    calls
}

/// The order of all writes according to the feed.
struct FeedOrder {
    /// The position in the feed at which each mark was set.
    positions: HashMap<String, usize>,
    /// For each period in which a contact held a key: the key, the contact, and the first and the last position.
    key_periods: Vec<(String, String, usize, usize)>,
}

impl FeedOrder {
    fn from_feed(feed: &[Value]) -> Self {
        let mut order = Self { positions: HashMap::new(), key_periods: vec![] };
        let mut held: HashMap<String, (String, usize)> = HashMap::new();
        for (position, entry) in feed.iter().enumerate() {
            let contact = entry["contact_id"].as_str().unwrap();
            if let Some(mark) = entry["changed"]["job_title"]["new"].as_str() {
                assert_eq!(order.positions.insert(mark.to_owned(), position), None, "{mark} was set twice");
            }
            let Some(change) = entry["changed"].get("external_id") else { continue };
            if let Some(key) = change["old"].as_str() {
                let (holder, since) =
                    held.remove(key).unwrap_or_else(|| panic!("{key} was released, but no contact held it"));
                assert_eq!(holder, contact);
                order.key_periods.push((key.to_owned(), holder, since, position));
            }
            if let Some(key) = change["new"].as_str() {
                let before = held.insert(key.to_owned(), (contact.to_owned(), position));
                assert_eq!(before, None, "{key} was claimed while it was held");
            }
        }
        order.key_periods.extend(held.into_iter().map(|(key, (holder, since))| (key, holder, since, usize::MAX)));
        order
    }

    /// Returns the position of the state that a response contains.
    fn position_of(&self, response: &ApiResponse) -> usize {
        response.body["job_title"].as_str().map_or(0, |mark| self.positions[mark])
    }
}

/// Checks that the order of the feed agrees with the times: a call that ended before another one has an earlier
/// position.
fn expect_order_matches_times(calls: &[CompletedCall], order: &FeedOrder) {
    let seen: Vec<_> = calls.iter().filter(|call| call.response.status == 200).collect();
    for call in &seen {
        let position = order.position_of(&call.response);
        if call.is_write() {
            assert_eq!(
                call.response.body["job_title"],
                json!(call.mark),
                "the response of a write contains another write"
            );
        }
        let others = seen.iter().filter(|other| other.contact == call.contact && call.precedes(other));
        for later in others {
            let later_position = order.position_of(&later.response);
            let is_in_order = if later.is_write() { position < later_position } else { position <= later_position };
            assert!(is_in_order, "{} was returned before {}", call.response.text, later.response.text);
        }
    }
}

/// Checks that each conflict names a contact that held the key at some time during the call.
fn expect_conflicts_name_holders(calls: &[CompletedCall], order: &FeedOrder) {
    let by_position: HashMap<usize, &CompletedCall> =
        calls.iter().filter(|call| call.is_write()).map(|call| (order.position_of(&call.response), call)).collect();
    for conflict in calls.iter().filter(|call| call.response.status == 409) {
        let holder = conflict.response.body["details"][0]["existing_id"].as_str().unwrap();
        let is_possible = order.key_periods.iter().any(|(key, held_by, since, until)| {
            Some(&**key) == conflict.key
                && held_by == holder
                && by_position.get(since).is_none_or(|claim| claim.start <= conflict.end)
                && by_position.get(until).is_none_or(|release| release.end >= conflict.start)
        });
        assert!(
            is_possible,
            "{:?} was rejected because of {holder}, which did not hold it during the call",
            conflict.key
        );
    }
}

/// Sends random calls to two instances on the database of the account, and checks their responses. Returns how many got a 503,
/// which means that they had no effect.
async fn expect_linearizable(account: Account) -> usize {
    let count = std::env::var("LINEARIZABLE_CALLS").map_or(CALLS, |calls| calls.parse().unwrap());
    let both = [account.clone(), account.on_instance(&account.server.second_instance())];
    let mut contacts = vec![];
    for index in 0..CONTACTS {
        contacts.push(account.create(json!({"first_name": index.to_string()})).await);
    }
    let contacts = Arc::new(contacts);
    let first_seed = test_seed();
    let client_account = |client: u64| both[usize::try_from(client).unwrap() % 2].clone();
    let clients = (0..CLIENTS)
        .map(|client| send_calls(client_account(client), Arc::clone(&contacts), first_seed + client, count));
    let calls: Vec<_> = run_concurrently(clients.collect::<Vec<_>>()).await.into_iter().flatten().collect();

    let statuses = |status| calls.iter().filter(|call| call.response.status == status).count();
    assert!(calls.iter().all(|call| [200, 409, 503].contains(&call.response.status)));
    let order = FeedOrder::from_feed(&FeedReader::read_entire_feed(&account).await);
    assert_eq!(order.positions.len(), calls.iter().filter(|call| call.is_write()).count());
    expect_order_matches_times(&calls, &order);
    expect_conflicts_name_holders(&calls, &order);
    assert!(statuses(409) > 20 && statuses(200) > 100);
    statuses(503)
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_on_two_instances_are_linearizable() {
    assert_eq!(expect_linearizable(Account::new().await).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_are_linearizable_if_some_writes_are_not_stored_at_random() {
    let account = Account::on_server(&Server::with_own_postgresql_database("linearizable_skip"));
    skip_writes_at_random(&account, 0.1, 0.03).await;
    // A write that is not stored again and again is rejected.
    let rejected = expect_linearizable(account).await;
    assert!(rejected < 100, "{rejected} calls got 503");
}
