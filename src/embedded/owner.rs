//! The operating system user that runs the database. PostgreSQL refuses to run as root, so root selects another user.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid, User, chown, geteuid};

use super::error::EmbeddedError;

/// The user that owns the files and processes of the cluster. `None`: the current user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner(Option<(Uid, Gid)>);

impl Owner {
    /// Returns the current user. For root, returns the user `postgres`, or else `nobody`.
    ///
    /// # Errors
    /// Fails if root runs the program and neither user exists.
    pub(super) fn detect() -> Result<Self, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or_else(|| {
            EmbeddedError::new(
                "PostgreSQL cannot run as root, and there is no user postgres or nobody. Run contacts as another user",
            )
        })?;
        Ok(Self(Some((user.uid, user.gid))))
    }

    /// Makes a command run as this user.
    pub(super) fn set_user(self, command: &mut Command) {
        if let Some((uid, gid)) = self.0 {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
    }

    /// Creates a folder that only this user can access.
    pub(super) fn create_private_folder(self, folder: &Path) -> Result<(), EmbeddedError> {
        DirBuilder::new().mode(0o700).create(folder).map_err(|error| EmbeddedError::io("create", folder, &error))?;
        if let Some((uid, gid)) = self.0 {
            chown(folder, Some(uid), Some(gid))
                .map_err(|error| EmbeddedError::io("change the owner of", folder, &error.into()))?;
        }
        Ok(())
    }

    /// Creates the data folder, and makes sure that this user can traverse it and its parent folders.
    ///
    /// # Errors
    /// Fails if this user cannot traverse a parent folder.
    pub(super) fn create_reachable_folder(self, folder: &Path) -> Result<(), EmbeddedError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|error| EmbeddedError::io("create", folder, &error))?;
        let Some((uid, gid)) = self.0 else { return Ok(()) };
        let can_traverse = |path: &Path| {
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
        if !can_traverse(folder) {
            // The execute permission allows access to known paths, but not listing the folder.
            let mode = fs::metadata(folder).map_or(0o700, |meta| meta.mode()) | 0o111;
            fs::set_permissions(folder, Permissions::from_mode(mode))
                .map_err(|error| EmbeddedError::io("change the permissions of", folder, &error))?;
        }
        match folder.ancestors().find(|ancestor| !can_traverse(ancestor)) {
            None => Ok(()),
            Some(blocked) => Err(EmbeddedError::new(format!(
                "the program runs as root, so the database runs as another user, and that user cannot access {}. \
                 Set CONTACTS_DATA_DIR to another folder",
                blocked.display()
            ))),
        }
    }
}
