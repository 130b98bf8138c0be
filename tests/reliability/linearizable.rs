//! What many callers see at the same time, on two instances, could have happened one call after another, each between
//! its start and its end. The feed says in which order: it is held against what every caller saw, and when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Account, Answer, Dice, Reader, Server, at_once};

const CALLERS: u64 = 16;
const CONTACTS: usize = 5;
const KEYS: [&str; 3] = ["k0", "k1", "k2"];
/// How many calls each caller makes, unless `LINEARIZABLE_CALLS` says otherwise.
const CALLS: usize = 150;

/// A call, when it was under way, and what it was answered.
struct Event {
    start: Instant,
    end: Instant,
    contact: String,
    /// The value that a write sets, which no other does.
    mark: Option<String>,
    /// The key that a write claims.
    key: Option<&'static str>,
    answer: Answer,
}

impl Event {
    fn is_write(&self) -> bool {
        self.mark.is_some() && self.answer.status == 200
    }

    /// Whether this was over before the other began.
    fn precedes(&self, other: &Self) -> bool {
        self.end < other.start
    }
}

async fn calls(account: Account, contacts: Arc<Vec<String>>, seed: u64, count: usize) -> Vec<Event> {
    let mut dice = Dice::new(seed);
    let mut events = vec![];
    for turn in 0..count {
        let contact = dice.pick(&contacts).clone();
        let start = Instant::now();
        let (mark, key, answer) = if dice.hits(3) {
            (None, None, account.get(&format!("/contacts/{contact}?properties=job_title")).await)
        } else {
            let mark = format!("{seed}-{turn}");
            let key = dice.hits(2).then(|| *dice.pick(&KEYS));
            let mut fields = json!({"job_title": mark});
            if dice.hits(2) {
                fields["external_id"] = json!(key);
            }
            let claimed = key.filter(|_| fields["external_id"].is_string());
            (Some(mark), claimed, account.patch(&format!("{contact}?properties=job_title"), fields).await)
        };
        events.push(Event { start, end: Instant::now(), contact, mark, key, answer });
    }
    events
}

/// The story by the feed: at which place each mark was set, and who held which key from which place on.
struct Story {
    places: HashMap<String, usize>,
    /// Of each key: its holder, the places from which on and until which it was held.
    holds: Vec<(String, String, usize, usize)>,
}

impl Story {
    fn of(feed: &[Value]) -> Self {
        let mut story = Self { places: HashMap::new(), holds: vec![] };
        let mut held: HashMap<String, (String, usize)> = HashMap::new();
        for (place, entry) in feed.iter().enumerate() {
            let contact = entry["contact_id"].as_str().unwrap();
            if let Some(mark) = entry["changed"]["job_title"]["new"].as_str() {
                assert_eq!(story.places.insert(mark.to_owned(), place), None, "{mark} was set twice");
            }
            let Some(change) = entry["changed"].get("external_id") else { continue };
            if let Some(key) = change["old"].as_str() {
                let (holder, since) = held.remove(key).unwrap_or_else(|| panic!("{key} was given up by no holder"));
                assert_eq!(holder, contact);
                story.holds.push((key.to_owned(), holder, since, place));
            }
            if let Some(key) = change["new"].as_str() {
                let before = held.insert(key.to_owned(), (contact.to_owned(), place));
                assert_eq!(before, None, "{key} was claimed while it was held");
            }
        }
        story.holds.extend(held.into_iter().map(|(key, (holder, since))| (key, holder, since, usize::MAX)));
        story
    }

    /// The place of the state that an answer shows.
    fn place_of(&self, answer: &Answer) -> usize {
        answer.body["job_title"].as_str().map_or(0, |mark| self.places[mark])
    }
}

/// Checks that the order of places is one of those that the times allow.
fn expect_in_time(events: &[Event], story: &Story) {
    let seen: Vec<_> = events.iter().filter(|event| event.answer.status == 200).collect();
    for event in &seen {
        let place = story.place_of(&event.answer);
        if event.is_write() {
            assert_eq!(event.answer.body["job_title"], json!(event.mark), "an answer shows another's write");
        }
        let others = seen.iter().filter(|other| other.contact == event.contact && event.precedes(other));
        for later in others {
            let later_place = story.place_of(&later.answer);
            let is_in_order = if later.is_write() { place < later_place } else { place <= later_place };
            assert!(is_in_order, "{} was seen before {}", event.answer.text, later.answer.text);
        }
    }
}

/// Checks that whoever was refused a key could have met the contact that he was told holds it.
fn expect_holders(events: &[Event], story: &Story) {
    let by_place: HashMap<usize, &Event> =
        events.iter().filter(|event| event.is_write()).map(|event| (story.place_of(&event.answer), event)).collect();
    for refused in events.iter().filter(|event| event.answer.status == 409) {
        let holder = refused.answer.body["details"][0]["existing_id"].as_str().unwrap();
        let could_meet = story.holds.iter().any(|(key, held_by, since, until)| {
            Some(&**key) == refused.key
                && held_by == holder
                && by_place.get(since).is_none_or(|claim| claim.start <= refused.end)
                && by_place.get(until).is_none_or(|release| release.end >= refused.start)
        });
        assert!(could_meet, "{:?} was refused for {holder}, which did not hold it then", refused.key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_calls_could_have_come_one_after_another() {
    let count = std::env::var("LINEARIZABLE_CALLS").map_or(CALLS, |calls| calls.parse().unwrap());
    let account = Account::new().await;
    let both = [account.clone(), account.at(&Server::shared().twin())];
    let mut contacts = vec![];
    for index in 0..CONTACTS {
        contacts.push(account.create(json!({"first_name": index.to_string()})).await);
    }
    let contacts = Arc::new(contacts);
    let caller = |seed: u64| both[usize::try_from(seed).unwrap() % 2].clone();
    let callers = (0..CALLERS).map(|seed| calls(caller(seed), Arc::clone(&contacts), seed, count));
    let events: Vec<_> = at_once(callers.collect::<Vec<_>>()).await.into_iter().flatten().collect();

    let statuses = |status| events.iter().filter(|event| event.answer.status == status).count();
    assert!(events.iter().all(|event| [200, 409].contains(&event.answer.status)));
    let story = Story::of(&Reader::all_of(&account).await);
    assert_eq!(story.places.len(), events.iter().filter(|event| event.is_write()).count());
    expect_in_time(&events, &story);
    expect_holders(&events, &story);
    println!("{} calls, {} refused", events.len(), statuses(409));
    assert!(statuses(409) > 20 && statuses(200) > 100);
}
