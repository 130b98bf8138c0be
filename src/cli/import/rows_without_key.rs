//! Rows without a key (docs/import.md#rows-without-a-key): each becomes a new contact, unless an earlier import of an equal row
//! has created one that is still active.

use std::collections::HashMap;

use uuid::Uuid;

use super::chunk::CheckedRows;
use super::tally::Tally;
use crate::contacts::{Write, WriteOutcome};
use crate::import_export::RowHash;
use crate::repository::{ImportLabel, Repository, RowClaim, StorageError};

/// Recognizes the rows without a key of one import.
pub(super) struct RowsWithoutKey {
    import: ImportLabel,
    /// The number of rows with each hash in the chunks that are written.
    equal_rows: HashMap<RowHash, u32>,
}

/// The rows without a key of one chunk.
#[derive(Default)]
pub(super) struct ClaimedRows {
    /// The keys of the rows that are written, with the index of their write.
    keys: Vec<(usize, Uuid)>,
    /// The imports that have created the contacts of the other rows.
    imported: Vec<ImportLabel>,
    /// The number of rows with each hash, with this chunk.
    equal_rows: HashMap<RowHash, u32>,
}

impl RowsWithoutKey {
    pub(super) fn new(import: ImportLabel) -> Self {
        Self { import, equal_rows: HashMap::new() }
    }

    /// Claims the rows without a key of a chunk. Removes the writes of rows that were imported before.
    pub(super) async fn claim(
        &self,
        repository: &Repository,
        account: Uuid,
        checked: &mut CheckedRows,
        dry_run: bool,
    ) -> Result<ClaimedRows, StorageError> {
        let mut claimed = ClaimedRows::default();
        let keys: Vec<_> = checked
            .origins
            .iter()
            .filter_map(|origin| {
                let hash = origin.hash?;
                let before = || self.equal_rows.get(&hash).copied().unwrap_or_default();
                let equal = claimed.equal_rows.entry(hash).or_insert_with(before);
                *equal += 1;
                Some(hash.key(*equal - 1))
            })
            .collect();
        if keys.is_empty() {
            return Ok(claimed);
        }
        let claims = match dry_run {
            true => repository.find_imported_rows(account, &keys).await?,
            false => repository.claim_imported_rows(account, &keys, &self.import).await?,
        };
        let mut claims = keys.into_iter().zip(claims);
        let writes = std::mem::take(&mut checked.writes).into_iter().zip(std::mem::take(&mut checked.origins));
        for (write, origin) in writes {
            let claim = if origin.hash.is_some() { claims.next() } else { None };
            let write = match (claim, write) {
                (Some((_, RowClaim::Imported(import))), _) => {
                    claimed.imported.push(import);
                    continue;
                }
                (Some((key, RowClaim::Free(id))), Write::Create(patch)) => {
                    claimed.keys.push((checked.writes.len(), key));
                    Write::Create(patch.with_id(id))
                }
                (_, write) => write,
            };
            checked.writes.push(write);
            checked.origins.push(origin);
        }
        Ok(claimed)
    }

    /// Counts the rows of a chunk that is written, and releases the claims of its refused rows.
    pub(super) async fn finish(
        &mut self,
        repository: &Repository,
        account: Uuid,
        claimed: ClaimedRows,
        outcomes: &[WriteOutcome],
        tally: &mut Tally,
        dry_run: bool,
    ) -> Result<(), StorageError> {
        let is_refused = |index: &usize| outcomes.get(*index).is_some_and(Result::is_err);
        let refused: Vec<_> = claimed.keys.iter().filter(|(index, _)| is_refused(index)).map(|(_, key)| *key).collect();
        if !refused.is_empty() && !dry_run {
            repository.release_imported_rows(account, &refused).await?;
        }
        for import in claimed.imported {
            if import == self.import {
                // An earlier attempt to write this chunk has created the contact.
                tally.created += 1;
            } else {
                tally.unchanged += 1;
                *tally.imported_before.entry(import).or_default() += 1;
            }
        }
        self.equal_rows.extend(claimed.equal_rows);
        Ok(())
    }
}
