//! The user that the database runs as. PostgreSQL refuses to run as root, so root lends it to another.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid, User, chown, geteuid};

use super::EmbeddedError;

/// Who owns the cluster's files and processes; `None` for the present user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner(Option<(Uid, Gid)>);

impl Owner {
    /// The present user, but for root `postgres` or `nobody`.
    pub(super) fn choose() -> Result<Self, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or_else(|| {
            EmbeddedError::new("PostgreSQL can't run as root, and there is no user postgres or nobody")
        })?;
        Ok(Self(Some((user.uid, user.gid))))
    }

    /// Makes `command` run as this user.
    pub(super) fn lend(self, command: &mut Command) {
        if let Some((uid, gid)) = self.0 {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
    }

    /// Makes a folder that only this user can enter.
    pub(super) fn make_private(self, folder: &Path) -> Result<(), EmbeddedError> {
        DirBuilder::new().mode(0o700).create(folder).map_err(|error| EmbeddedError::io("make", folder, &error))?;
        if let Some((uid, gid)) = self.0 {
            chown(folder, Some(uid), Some(gid))
                .map_err(|error| EmbeddedError::io("hand over", folder, &error.into()))?;
        }
        Ok(())
    }

    /// Makes the data folder, and makes sure that this user can pass through it and all above it.
    pub(super) fn make_reachable(self, folder: &Path) -> Result<(), EmbeddedError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|error| EmbeddedError::io("make", folder, &error))?;
        let Some((uid, gid)) = self.0 else { return Ok(()) };
        let can_pass = |path: &Path| {
            fs::metadata(path).is_ok_and(|meta| {
                let shift = if meta.uid() == uid.as_raw() {
                    6
                } else if meta.gid() == gid.as_raw() {
                    3
                } else {
                    0
                };
                meta.mode() >> shift & 1 == 1
            })
        };
        if !can_pass(folder) {
            // Passing through shows nothing of what is within.
            let mode = fs::metadata(folder).map_or(0o700, |meta| meta.mode()) | 0o111;
            fs::set_permissions(folder, Permissions::from_mode(mode))
                .map_err(|error| EmbeddedError::io("open", folder, &error))?;
        }
        match folder.ancestors().find(|ancestor| !can_pass(ancestor)) {
            None => Ok(()),
            Some(closed) => Err(EmbeddedError::new(format!(
                "as root the database runs as another user, and that one can't pass through {}: set CONTACTS_DATA_DIR to another folder",
                closed.display()
            ))),
        }
    }
}
