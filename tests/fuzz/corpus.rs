//! The corpus and the dictionary in `fuzz/`, which cargo-fuzz reads too.

use std::fs;
use std::path::{Path, PathBuf};

/// The initial inputs of a target.
pub struct Corpus {
    pub entries: Vec<Vec<u8>>,
}

impl Corpus {
    /// Reads the corpus of a target, in the order of the file names.
    pub fn read(target: &str) -> Self {
        let files = fs::read_dir(fuzz_folder().join("corpus").join(target)).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{target} has no corpus");
        Self { entries: paths.into_iter().map(|path| fs::read(path).unwrap()).collect() }
    }
}

/// Reads the words that mutations insert. The file has one `"word"` a line, with `\xNN` for any byte (libFuzzer's
/// format).
pub fn dictionary() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(fuzz_folder().join("dictionary")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| unescape(line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect(line))).collect()
}

/// Resolves the escape sequences of a word.
fn unescape(word: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (vec![], word);
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        if let Some(hexadecimal) = escape.strip_prefix('x') {
            bytes.push(u8::from_str_radix(&hexadecimal[..2], 16).unwrap());
            rest = &hexadecimal[2..];
        } else {
            bytes.push(escape.as_bytes()[0]);
            rest = &escape[1..];
        }
    }
    [bytes, rest.into()].concat()
}

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
