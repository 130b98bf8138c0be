//! The corpus and the dictionary of `fuzz/`, which cargo-fuzz reads as well.

use std::fs;
use std::path::{Path, PathBuf};

/// The inputs that a target begins with.
pub struct Corpus {
    pub entries: Vec<Vec<u8>>,
}

impl Corpus {
    /// That of a target, in the order of its files' names.
    pub fn of(target: &str) -> Self {
        let files = fs::read_dir(folder().join("corpus").join(target)).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{target} has no corpus");
        Self { entries: paths.into_iter().map(|path| fs::read(path).unwrap()).collect() }
    }
}

/// The words that inputs are made of: a `"word"` a line, with `\xNN` for any byte (the form of libFuzzer).
pub fn dictionary() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder().join("dictionary")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| unescaped(line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect(line))).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
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

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
