//! Text matching by `contains`, `starts_with` and `query`.

use serde_json::{Value, json};

use super::{account_with_every_type, search_by_filter, search_names};
use crate::support::Account;

/// Creates an account with a contact for each title. Its first name is the index of the title.
async fn account_with_titles(titles: &[&str]) -> Account {
    let account = account_with_every_type().await;
    for (index, title) in titles.iter().enumerate() {
        account.create(json!({"first_name": index.to_string(), "job_title": title, "a_text": title})).await;
    }
    account
}

#[tokio::test]
async fn contains_and_starts_with_ignore_case_and_match_every_character_literally() {
    let titles = [
        "50% off_er",
        "50 offer",
        r"a\b",
        "it's \"x\"",
        "ÄRGER straße",
        "ΟΔΟΣΤΡΩΜΑ",
        "😀 smile",
        "ärger",
        "x*y(z",
        "e\u{301}",
    ];
    let account = account_with_titles(&titles).await;
    for (part, contains, starts) in [
        ("50%", "0", "0"),
        ("%", "0", ""),
        ("_", "0", ""),
        ("OFF", "0 1", ""),
        ("50", "0 1", "0 1"),
        (r"\", "2", ""),
        (r"A\", "2", "2"),
        ("'", "3", ""),
        ("\"X\"", "3", ""),
        ("ärGER", "4 7", "4 7"),
        ("STRAßE", "4", ""),
        ("οδοσ", "5", "5"),
        ("😀", "6", "6"),
        ("*", "8", ""),
        ("(", "8", ""),
        ("e", "0 1 4 6 7 9", "9"),
        ("é", "", ""),
        (" ", "0 1 3 4 6", ""),
        ("' OR 1=1; --", "", ""),
        (".", "", ""),
        (".*", "", ""),
    ] {
        for field in ["job_title", "a_text"] {
            assert_eq!(
                search_by_filter(&account, field, "contains", json!(part)).await,
                contains,
                "{field} contains {part}"
            );
            assert_eq!(
                search_by_filter(&account, field, "starts_with", json!(part)).await,
                starts,
                "{field} starts_with {part}"
            );
        }
    }
    let long = "x".repeat(4_096);
    assert_eq!(search_by_filter(&account, "a_text", "contains", json!(long)).await, "");
    for title in titles {
        assert_eq!(search_by_filter(&account, "job_title", "eq", json!(title)).await.split(' ').count(), 1, "{title}");
    }
}

#[tokio::test]
async fn contains_and_starts_with_work_on_every_string_type() {
    let account = account_with_every_type().await;
    account
        .create(json!({
            "first_name": "A", "email": "Ada@Example.com", "phone": "+1 555 0100 EXT 7", "website": "HTTPS://Example.com/A",
            "contact_owner": "Owner@example.com", "a_email": "X@y.zz", "a_phone": "112", "a_url": "http://a.bc/Q", "a_user": "U@v.ww"
        }))
        .await;
    account.create(json!({"first_name": "B"})).await;
    for (field, part, start) in [
        ("email", "@EXAMPLE", "aDA@"),
        ("phone", "ext", "+1"),
        ("website", "example.COM/a", "https:"),
        ("contact_owner", "OWNER", "o"),
        ("a_email", "x@", "x"),
        ("a_phone", "12", "11"),
        ("a_url", "/q", "HTTP"),
        ("a_user", "u@V", "u@"),
    ] {
        assert_eq!(search_by_filter(&account, field, "contains", json!(part)).await, "A", "{field}");
        assert_eq!(search_by_filter(&account, field, "starts_with", json!(start)).await, "A", "{field}");
    }
}

#[tokio::test]
async fn query_matches_the_beginning_of_words() {
    let account = Account::new().await;
    for fields in [
        json!({"first_name": "Ada", "last_name": "King-Noël", "email": "ada.lovelace@example.com", "company_name": "Analytical Engines"}),
        json!({"first_name": "Bob", "last_name": "O'Hara", "phone": "+1 (555) 010-9999", "job_title": "Adamant"}),
        json!({"first_name": "C", "mobile_phone": "030/1234567", "company_name": "C++ & Söhne_GmbH", "last_name": "ЖУКОВ"}),
        json!({"first_name": "D", "last_name": "Bär", "company_name": "100% (a.b)*"}),
    ] {
        account.create(fields).await;
    }
    for (query, expected) in [
        ("ada", "Ada"),
        ("AD", "Ada"),
        ("da", ""),
        ("lovelace", "Ada"),
        ("love eng", "Ada"),
        ("engine love ada", "Ada"),
        ("ada bob", ""),
        ("noël", "Ada"),
        ("NOË", "Ada"),
        ("king-noël", "Ada"),
        ("ada.lovelace@example.com", "Ada"),
        ("@example.com", "Ada"),
        ("example", "Ada"),
        ("xample", ""),
        ("o'hara", "Bob"),
        ("hara", "Bob"),
        ("+1", "Bob"),
        ("(555)", "Bob"),
        ("555 010", "Bob"),
        ("-noël", "Ada"),
        ("1234567", "C"),
        ("030/12", "C"),
        ("жук", "C"),
        ("укОВ", ""),
        ("& söhne", "C"),
        ("gmbh", "C"),
        ("c++", "C"),
        ("bär", "D"),
        ("är", ""),
        ("r", ""),
        ("100%", "D"),
        ("(a.b)*", "D"),
        ("a.b", "D"),
        ("axb", ""),
        ("adamant", ""),
        ("[[:alpha:]]", ""),
        (r"\w", ""),
        (".*", ""),
        ("  ", "Ada Bob C D"),
        ("", "Ada Bob C D"),
        ("d d d D", "D"),
    ] {
        assert_eq!(search_names(&account, json!({"query": query})).await.join(" "), expected, "{query}");
    }
}

#[tokio::test]
async fn hostile_search_texts_match_nothing_and_cause_no_error() {
    let account = account_with_titles(&["plain"]).await;
    for text in [
        "'; DROP TABLE contacts; --",
        "$1",
        "${jndi:ldap://x}",
        "\\",
        "\\\\",
        "(((((",
        "[",
        "{1000}",
        "(?i)",
        "***=a",
        "\u{202e}",
        "\u{10ffff}",
    ] {
        for body in [
            json!({"query": text}),
            json!({"filters": [{"property": "job_title", "operator": "contains", "value": text}]}),
            json!({"filters": [{"property": "job_title", "operator": "eq", "value": text}]}),
            json!({"filters": [{"property": "job_title", "operator": "in", "value": vec![text; 100]}]}),
        ] {
            assert_eq!(search_names(&account, body.clone()).await, [""; 0], "{body}");
        }
    }
    let words = (0..20).map(|index| "(".repeat(40) + &index.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(search_names(&account, json!({"query": words})).await, [""; 0]);
    assert_eq!(search_by_filter(&account, "job_title", "has_value", Value::Null).await, "0");
}
