//! What a list shows and where its pages begin (contract §5).

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Contact;
use super::cursor::Fingerprint;

/// Which contacts of an account a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Archived ones too.
    pub archived: bool,
    /// Only those with this email, compared case-insensitively.
    pub email: Option<String>,
    /// Only those with exactly this external id.
    pub external_id: Option<String>,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After this many contacts. Answered with the total count.
    Offset(i64),
    /// After the contact with this id. The same speed at any depth.
    After(Uuid),
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which contacts.
    pub filter: Filter,
    /// From where.
    pub start: Start,
    /// At most this many.
    pub limit: i64,
}

/// The contacts of a page, in order of creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The contacts.
    pub contacts: Vec<Contact>,
    /// How many there are in all; `None` when paging by cursor.
    pub count: Option<i64>,
    /// Whether more follow.
    pub more: bool,
}

/// A place in a list, as given to callers: opaque, without expiry, good for one account and one filter only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor;

impl Cursor {
    /// The cursor that goes on after `last`.
    #[must_use]
    pub fn after(last: Uuid, account: Uuid, filter: &Filter) -> String {
        fingerprint(account, filter).seal(last.as_bytes())
    }

    /// Reads a cursor back. `None` for a text that is no cursor, or one of another account or filter.
    #[must_use]
    pub fn read(text: &str, account: Uuid, filter: &Filter) -> Option<Uuid> {
        Uuid::from_slice(&fingerprint(account, filter).open(text)?).ok()
    }
}

fn fingerprint(account: Uuid, filter: &Filter) -> Fingerprint {
    let mut parts = vec![u8::from(filter.archived)];
    for part in [filter.email.as_deref().map(str::to_ascii_lowercase), filter.external_id.clone()] {
        parts.push(u8::from(part.is_some()));
        parts.extend_from_slice(&Sha256::digest(part.unwrap_or_default()));
    }
    Fingerprint::new(account, [&*parts])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let (account, last) = (Uuid::now_v7(), Uuid::now_v7());
        let filter = Filter { email: Some("Ada@example.com".into()), ..Filter::default() };
        let cursor = Cursor::after(last, account, &filter);
        let same = Filter { email: Some("ada@EXAMPLE.com".into()), ..Filter::default() };
        assert_eq!(Cursor::read(&cursor, account, &same), Some(last));
        for other in [
            Filter::default(),
            Filter { archived: true, ..filter.clone() },
            Filter { external_id: Some(String::new()), ..filter.clone() },
        ] {
            assert_eq!(Cursor::read(&cursor, account, &other), None, "{other:?}");
        }
        assert_eq!(Cursor::read(&cursor, Uuid::now_v7(), &filter), None);
    }

    #[test]
    fn anything_else_is_no_cursor() {
        for text in ["", "abc", "====", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ä", &"A".repeat(10_000)] {
            assert_eq!(Cursor::read(text, Uuid::nil(), &Filter::default()), None, "{text}");
        }
    }
}
