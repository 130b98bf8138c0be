//! Who may know whom (the house plan in README.md): holds the `use crate::…` lines to it, so that it can't rot.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms it may use.
const ROOMS: [(&str, &[&str]); 13] = [
    ("json", &[]),
    ("outward", &[]),
    ("config", &[]),
    ("clients", &["config"]),
    ("fields", &["json"]),
    ("contacts", &["fields", "json"]),
    ("transfer", &["contacts", "fields", "json"]),
    ("telemetry", &["config", "outward"]),
    // It raises gauges, as http does.
    ("repository", &["contacts", "fields", "json", "clients", "config", "telemetry"]),
    ("auth", &["clients", "config", "outward"]),
    ("embedded", &["config"]),
    // It tells the metrics to those who ask over HTTP.
    ("http", &["repository", "contacts", "fields", "json", "auth", "clients", "config", "telemetry"]),
    (
        "cli",
        &[
            "http",
            "repository",
            "transfer",
            "contacts",
            "fields",
            "json",
            "auth",
            "clients",
            "config",
            "embedded",
            "telemetry",
        ],
    ),
];

/// Crates, and the rooms (or files) that alone may use them.
const CRATES: [(&str, &[&str]); 8] = [
    ("sqlx", &["repository", "embedded"]),
    ("axum", &["http"]),
    ("jsonwebtoken", &["auth"]),
    ("reqwest", &["outward.rs", "auth/source.rs", "telemetry/export.rs"]),
    ("std::env::var", &["config"]),
    ("dotenvy", &["config"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    // The parent of a request's span is read from its headers.
    ("opentelemetry", &["telemetry", "http/trace.rs"]),
];

const MAX_LINES: usize = 400;

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    files
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    for (file, text) in sources() {
        let room = room_of(&file);
        if ["lib", "main"].contains(&room) {
            continue;
        }
        let (_, allowed) =
            ROOMS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("{file} is in no room of the plan"));
        for used in text.split("crate::").skip(1) {
            let used = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            let is_room = ROOMS.iter().any(|(name, _)| *name == used);
            assert!(!is_room || used == room || allowed.contains(&used), "{file} must not use {used}");
        }
    }
}

/// A room may use only rooms that stand before it in the plan.
#[test]
fn there_are_no_circles() {
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        for used in *allowed {
            assert!(
                ROOMS[..index].iter().any(|(earlier, _)| earlier == used),
                "{room} uses {used}, which comes after it"
            );
        }
    }
}

#[test]
fn crates_are_used_only_where_they_belong() {
    for (file, text) in sources() {
        for (name, places) in CRATES {
            let is_used = text.contains(&format!("{name}::"))
                || text.contains(&format!("use {name}"))
                || text.contains(&format!("{name}("));
            let may = places.iter().any(|place| file.starts_with(place));
            assert!(!is_used || may, "{file} must not use {name}");
        }
    }
}

#[test]
fn files_are_small_and_well_named() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{file} has {lines} lines: is there a natural seam?");
        for vague in ["util", "common", "helper", "service", "manager", "misc"] {
            assert!(!file.contains(vague), "{file}: {vague} says nothing");
        }
        let is_page = [".html", ".css", ".js"].iter().any(|end| file.ends_with(end));
        assert!(is_page || text.starts_with("//!"), "{file} does not say what it is");
    }
    let main = sources().into_iter().find(|(file, _)| file == "main.rs").unwrap().1;
    assert!(main.lines().count() <= 25);
}
