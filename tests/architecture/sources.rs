//! The source files of the crate.

use std::fs;
use std::path::{Path, PathBuf};

/// A file below `src/`.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// The path below `src/`, such as `http/mod.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    pub(crate) fn top_level_module(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Returns the text before the unit tests.
    pub(crate) fn code(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Returns the names of the structs, enums, traits and type aliases that the code declares outside `impl` blocks.
    pub(crate) fn type_names(&self) -> Vec<String> {
        let declarations = self.code().lines().filter_map(|line| {
            let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            let line = match line.strip_prefix("pub(in ") {
                Some(rest) => rest.split_once(") ")?.1,
                None => line.trim_start_matches("pub "),
            };
            let rest = ["struct ", "enum ", "trait ", "type "].iter().find_map(|keyword| line.strip_prefix(keyword))?;
            Some(rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap().to_owned())
        });
        declarations.collect()
    }
}

/// Returns every file below `src/`.
pub(crate) fn source_files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.push(SourceFile { path: name, text: fs::read_to_string(path).unwrap() });
            }
        }
    }
    files
}
