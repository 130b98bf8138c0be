//! Where `contacts dev` keeps its data, and looks for PostgreSQL.

use std::path::PathBuf;

use super::Environment;

/// The folder in which `contacts dev` keeps its data, where one is set or known.
#[must_use]
pub fn data_dir(environment: &Environment) -> Option<PathBuf> {
    let home = || environment.get("HOME").map(PathBuf::from);
    let platform = || {
        if cfg!(target_os = "macos") {
            home().map(|home| home.join("Library/Application Support"))
        } else {
            home().map(|home| home.join(".local/share"))
        }
    };
    if let Some(folder) = environment.get("CONTACTS_DATA_DIR") {
        return Some(folder.into());
    }
    let parent = environment.get("XDG_DATA_HOME").map(PathBuf::from).or_else(|| {
        // Root's home is closed to the user that the database runs as.
        if nix::unistd::geteuid().is_root() { Some("/var/lib".into()) } else { platform() }
    })?;
    Some(parent.join("contacts"))
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
        let home_cache = environment.get("HOME").map(|home| PathBuf::from(home).join(".cache"));
        // Root's own cache would be closed to the user that the database runs as.
        let is_root = nix::unistd::geteuid().is_root();
        let shared_cache = is_root.then(|| PathBuf::from("/var/cache"));
        let cache = shared_cache.or_else(|| environment.get("XDG_CACHE_HOME").map(PathBuf::from)).or(home_cache);
        Self {
            bin_dir: environment.get("PG_BIN_DIR").map(PathBuf::from),
            path: environment.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default(),
            cache_dir: cache.unwrap_or_else(std::env::temp_dir).join("contacts"),
        }
    }
}
