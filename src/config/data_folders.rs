//! The folders of `contacts dev`: its data, and the PostgreSQL binaries.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::settings_reader::SettingsReader;

/// Returns the data folder of `contacts dev`. `None` if it is not set and the platform has no default.
#[must_use]
pub fn data_dir(environment: &Environment) -> Option<PathBuf> {
    SettingsReader::new(environment).read_data_dir()
}

/// The folders to search for the PostgreSQL binaries of the embedded database, in addition to the standard locations.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedSettings {
    /// `PG_BIN_DIR`, searched first.
    pub bin_dir: Option<PathBuf>,
    /// The folders of `PATH`.
    pub path: Vec<PathBuf>,
    /// The folder for a downloaded PostgreSQL, used if none is installed.
    pub cache_dir: PathBuf,
}

impl EmbeddedSettings {
    /// Reads the folders to search.
    #[must_use]
    pub fn read(environment: &Environment) -> Self {
        SettingsReader::new(environment).read_embedded_settings()
    }
}

impl SettingsReader<'_> {
    pub(super) fn read_data_dir(&mut self) -> Option<PathBuf> {
        let default = self.platform_data_dir().map(|folder| folder.join("contacts"));
        match default.as_deref().and_then(Path::to_str) {
            Some(default) => Some(self.read_text_or("CONTACTS_DATA_DIR", default).into()),
            None => self.read_text("CONTACTS_DATA_DIR").map(PathBuf::from),
        }
    }

    /// Returns the folder in which programs store their data on this platform.
    fn platform_data_dir(&self) -> Option<PathBuf> {
        let home = || self.platform_variable("HOME").map(PathBuf::from);
        if let Some(folder) = self.platform_variable("XDG_DATA_HOME") {
            Some(folder.into())
        } else if nix::unistd::geteuid().is_root() {
            // The database runs as another user, who cannot access the home of root.
            Some("/var/lib".into())
        } else if cfg!(target_os = "macos") {
            home().map(|home| home.join("Library/Application Support"))
        } else {
            home().map(|home| home.join(".local/share"))
        }
    }

    pub(super) fn read_embedded_settings(&mut self) -> EmbeddedSettings {
        let home_cache = self.platform_variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
        // The database runs as another user, who cannot access the cache of root.
        let is_root = nix::unistd::geteuid().is_root();
        let shared_cache = is_root.then(|| PathBuf::from("/var/cache"));
        let cache = shared_cache.or_else(|| self.platform_variable("XDG_CACHE_HOME").map(PathBuf::from)).or(home_cache);
        let path = self.platform_variable("PATH");
        EmbeddedSettings {
            bin_dir: self.read_text("PG_BIN_DIR").map(PathBuf::from),
            path: path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default(),
            cache_dir: cache.unwrap_or_else(std::env::temp_dir).join("contacts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_dir_is_the_setting_or_the_xdg_data_folder() {
        let folder = |environment: Environment| data_dir(&environment);
        assert_eq!(folder([("CONTACTS_DATA_DIR", "/a"), ("XDG_DATA_HOME", "/b")].into()), Some("/a".into()));
        assert_eq!(folder([("XDG_DATA_HOME", "/b"), ("HOME", "/c")].into()), Some("/b/contacts".into()));
    }
}
