//! Puts rows in that are new: contacts, the keys that they claim, entries of the feed. A few are arrays of a prepared
//! statement, many a `COPY`: that has to be planned each time and asks twice, but takes a fifth less of the database.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::columns::{ChangeColumns, ContactColumns, KeyColumns, contact_rows};
use super::copy::copy;
use super::group::Group;
use crate::contacts::{Change, Contact, UniqueKey};
use crate::fields::system;
use crate::repository::StorageError;

/// From how many rows on they are copied.
const MANY: usize = 200;

/// The columns of contacts, in the order that rows are written in.
macro_rules! contact_list {
    () => {
        "account_id, id, version, position, updated_at, custom, first_name, last_name, email, contact_owner, external_id, \
         phone, mobile_phone, job_title, company_name, website, archived_at, archived_by, created_at"
    };
}

/// Adds entries to the feed, from arrays that [`ChangeColumns::bind`] binds.
macro_rules! told {
    ($arrays:literal) => {
        concat!(
            "INSERT INTO changes (account_id, position, contact_id, previous, kind, actor, at, changed) \
             SELECT n.account_id, n.position, n.contact_id, n.previous, n.kind, n.actor, n.at, n.changed::json FROM unnest(",
            $arrays,
            ") AS n (account_id, position, contact_id, previous, kind, actor, at, changed)"
        )
    };
}
pub(super) use told;

/// Puts new contacts in.
pub(super) async fn contacts(connection: &mut PgConnection, groups: &[&Group]) -> Result<(), StorageError> {
    const INSERT: &str = concat!(
        "INSERT INTO contacts (",
        contact_list!(),
        ") SELECT account_id, id, version, position, updated_at, custom::jsonb, first_name, last_name, email, \
         contact_owner, external_id, phone, mobile_phone, job_title, company_name, website, archived_at, archived_by, created_at FROM ",
        contact_rows!(
            ", $18::timestamptz[], $19::text[], $20::timestamptz[]",
            ", archived_at, archived_by, created_at"
        )
    );
    const COPY: &str = concat!("COPY contacts (", contact_list!(), ") FROM STDIN (FORMAT binary)");
    let created = groups.iter().flat_map(|group| group.effects.created.iter().map(|new| (group.account, &**new)));
    let created: Vec<(Uuid, &Contact)> = created.collect();
    if created.len() >= MANY {
        return copy(connection, COPY, &created, |tuple, (account, contact)| {
            tuple.uuid(*account).uuid(contact.id).bigint(contact.version).bigint(contact.position);
            tuple.instant(Some(contact.updated_at)).jsonb(&contact.values.custom())?;
            for field in system::STORED {
                tuple.text(contact.values.text(field));
            }
            let archival = contact.archival.as_ref();
            tuple.instant(archival.map(|archival| archival.at));
            tuple.text(archival.and_then(|archival| archival.by.as_deref())).instant(Some(contact.created_at));
            Ok(())
        })
        .await;
    }
    let columns = ContactColumns::of(created.into_iter().map(|(account, contact)| (account, 0, contact)))?;
    if !columns.is_empty() {
        let query = columns.bind_archival(columns.bind_values(sqlx::query(INSERT)));
        query.bind(columns.created_at()).execute(connection).await?;
    }
    Ok(())
}

/// Puts the keys in that contacts have from now on.
pub(super) async fn keys(connection: &mut PgConnection, groups: &[&Group]) -> Result<(), StorageError> {
    const INSERT: &str = "INSERT INTO contact_keys (account_id, contact_id, field_id, key, active) \
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::boolean[])";
    const COPY: &str = "COPY contact_keys (account_id, contact_id, field_id, key, active) FROM STDIN (FORMAT binary)";
    let new = groups.iter().flat_map(|group| {
        group.effects.keys_new.iter().map(|(contact, key, active)| (group.account, *contact, key, *active))
    });
    let new: Vec<(Uuid, Uuid, &UniqueKey, bool)> = new.collect();
    if new.len() >= MANY {
        return copy(connection, COPY, &new, |tuple, (account, contact, key, active)| {
            tuple.uuid(*account).uuid(*contact).integer(key.field.0).text(Some(&key.key)).boolean(*active);
            Ok(())
        })
        .await;
    }
    let columns = KeyColumns::of(new.iter().map(|(account, contact, key, _)| (*account, *contact, *key)));
    if !columns.is_empty() {
        let active: Vec<_> = new.iter().map(|(.., active)| *active).collect();
        columns.bind(sqlx::query(INSERT)).bind(active).execute(connection).await?;
    }
    Ok(())
}

/// Adds to the feed what was done.
pub(super) async fn changes(connection: &mut PgConnection, groups: &[&Group]) -> Result<(), StorageError> {
    const INSERT: &str = told!(
        "$1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[], $8::text[]"
    );
    const COPY: &str = "COPY changes (account_id, position, contact_id, previous, kind, actor, at, changed) \
                        FROM STDIN (FORMAT binary)";
    let made = groups.iter().flat_map(|group| group.workspace.changes().iter().map(|change| (group.account, change)));
    let made: Vec<(Uuid, &Change)> = made.collect();
    if made.len() >= MANY {
        return copy(connection, COPY, &made, |tuple, (account, change)| {
            tuple.uuid(*account).bigint(change.position).uuid(change.contact_id).bigint(change.previous);
            tuple.text(Some(change.kind.as_str())).text(change.actor.as_deref()).instant(Some(change.at));
            tuple.json(&change.changed())?;
            Ok(())
        })
        .await;
    }
    if !made.is_empty() {
        ChangeColumns::of(groups)?.bind(sqlx::query(INSERT)).execute(connection).await?;
    }
    Ok(())
}
