//! Where `contacts dev` keeps its data, and looks for PostgreSQL.

use std::path::{Path, PathBuf};

use super::Environment;
use super::reader::Reader;

/// The folder in which `contacts dev` keeps its data, where one is set or known.
#[must_use]
pub fn data_dir(environment: &Environment) -> Option<PathBuf> {
    Reader::new(environment).data_dir()
}

/// Where the PostgreSQL binaries of the embedded database are looked for, besides the usual places.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedSettings {
    /// `PG_BIN_DIR`: looked at first.
    pub bin_dir: Option<PathBuf>,
    /// `PATH`.
    pub path: Vec<PathBuf>,
    /// Where a downloaded PostgreSQL is kept, when there is none.
    pub cache_dir: PathBuf,
}

impl EmbeddedSettings {
    /// Reads where to look.
    #[must_use]
    pub fn read(environment: &Environment) -> Self {
        Reader::new(environment).embedded()
    }
}

impl Reader<'_> {
    pub(super) fn data_dir(&mut self) -> Option<PathBuf> {
        let default = self.platform_data_dir().map(|folder| folder.join("contacts"));
        match default.as_deref().and_then(Path::to_str) {
            Some(known) => Some(self.text_or("CONTACTS_DATA_DIR", known).into()),
            None => self.text("CONTACTS_DATA_DIR").map(PathBuf::from),
        }
    }

    /// Where programs keep their data on this platform.
    fn platform_data_dir(&self) -> Option<PathBuf> {
        let home = || self.of_the_platform("HOME").map(PathBuf::from);
        if let Some(folder) = self.of_the_platform("XDG_DATA_HOME") {
            Some(folder.into())
        } else if nix::unistd::geteuid().is_root() {
            // Root's home is closed to the user that the database runs as.
            Some("/var/lib".into())
        } else if cfg!(target_os = "macos") {
            home().map(|home| home.join("Library/Application Support"))
        } else {
            home().map(|home| home.join(".local/share"))
        }
    }

    pub(super) fn embedded(&mut self) -> EmbeddedSettings {
        let home_cache = self.of_the_platform("HOME").map(|home| PathBuf::from(home).join(".cache"));
        // Root's own cache would be closed to the user that the database runs as.
        let is_root = nix::unistd::geteuid().is_root();
        let shared_cache = is_root.then(|| PathBuf::from("/var/cache"));
        let cache = shared_cache.or_else(|| self.of_the_platform("XDG_CACHE_HOME").map(PathBuf::from)).or(home_cache);
        let path = self.of_the_platform("PATH");
        EmbeddedSettings {
            bin_dir: self.text("PG_BIN_DIR").map(PathBuf::from),
            path: path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default(),
            cache_dir: cache.unwrap_or_else(std::env::temp_dir).join("contacts"),
        }
    }
}
