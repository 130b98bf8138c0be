//! The filters, pages and cursors of the list of contacts (`docs/api-reference.md#list`).

use crate::fields::CustomSelection;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::cursor_fingerprint::Fingerprint;

/// The contacts of an account that a list contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Whether the list contains archived contacts too.
    pub include_archived: bool,
    /// Only contacts with this email, compared case-insensitively.
    pub email: Option<String>,
    /// Only contacts with exactly this external id.
    pub external_id: Option<String>,
}

/// The start of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStart {
    /// Skips this many contacts. The response contains the total count.
    Offset(i64),
    /// Starts after the contact with this id. The speed does not depend on the depth.
    After(Uuid),
}

/// A request for one page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// The contacts of the list.
    pub filter: ListFilter,
    /// The start of the page.
    pub start: ListStart,
    /// The maximum number of contacts.
    pub limit: i64,
    /// The custom fields to read.
    pub custom_fields: CustomSelection,
}

/// A position in a list. Its encoded form is opaque to callers, does not expire, and is valid for one account and one
/// filter only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListCursor;

impl ListCursor {
    /// Encodes the position after the contact `last`.
    #[must_use]
    pub fn encode_after(last: Uuid, account: Uuid, filter: &ListFilter) -> String {
        fingerprint(account, filter).encode(last.as_bytes())
    }

    /// Decodes a cursor to the id of the last contact before it. Returns `None` if the text is not a cursor of this
    /// account and filter.
    #[must_use]
    pub fn decode(text: &str, account: Uuid, filter: &ListFilter) -> Option<Uuid> {
        Uuid::from_slice(&fingerprint(account, filter).decode(text)?).ok()
    }
}

fn fingerprint(account: Uuid, filter: &ListFilter) -> Fingerprint {
    let mut parts = vec![u8::from(filter.include_archived)];
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
    fn list_cursor_is_valid_only_for_its_account_and_filter() {
        let (account, last) = (Uuid::now_v7(), Uuid::now_v7());
        let filter = ListFilter { email: Some("Ada@example.com".into()), ..ListFilter::default() };
        let cursor = ListCursor::encode_after(last, account, &filter);
        let same = ListFilter { email: Some("ada@EXAMPLE.com".into()), ..ListFilter::default() };
        assert_eq!(ListCursor::decode(&cursor, account, &same), Some(last));
        for other in [
            ListFilter::default(),
            ListFilter { include_archived: true, ..filter.clone() },
            ListFilter { external_id: Some(String::new()), ..filter.clone() },
        ] {
            assert_eq!(ListCursor::decode(&cursor, account, &other), None, "{other:?}");
        }
        assert_eq!(ListCursor::decode(&cursor, Uuid::now_v7(), &filter), None);
    }

    #[test]
    fn other_text_is_not_a_list_cursor() {
        for text in ["", "abc", "====", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ä", &"A".repeat(10_000)] {
            assert_eq!(ListCursor::decode(text, Uuid::nil(), &ListFilter::default()), None, "{text}");
        }
    }
}
