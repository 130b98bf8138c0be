//! Checks of the code's structure (docs/architecture.md): which modules and crates each module may use, that files do
//! not import each other in cycles, that no type name is used twice, and the size and opening comment of files.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod imports;
mod sources;

use std::collections::BTreeMap;

use imports::import_graph;
use sources::{SourceFile, source_files};

/// Each top-level module of the crate, and the modules that it may use.
const MODULES: [(&str, &[&str]); 15] = [
    ("json", &[]),
    ("fair_semaphore", &[]),
    ("memory_budget", &["fair_semaphore"]),
    ("http_client", &[]),
    ("config", &[]),
    ("clients", &["config"]),
    ("fields", &["json"]),
    ("contacts", &["fields", "json"]),
    ("import_export", &["contacts", "fields", "json"]),
    ("telemetry", &["config", "http_client"]),
    (
        "repository",
        &["contacts", "fields", "json", "fair_semaphore", "memory_budget", "clients", "config", "telemetry"],
    ),
    ("auth", &["clients", "config", "http_client"]),
    ("embedded", &["config"]),
    (
        "http",
        &[
            "repository",
            "import_export",
            "contacts",
            "fields",
            "json",
            "fair_semaphore",
            "memory_budget",
            "auth",
            "clients",
            "config",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "http",
            "repository",
            "import_export",
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

/// Crates, and the only modules (or files) that may use them.
const CRATES: [(&str, &[&str]); 8] = [
    ("sqlx", &["repository", "embedded"]),
    ("axum", &["http"]),
    ("jsonwebtoken", &["auth"]),
    ("reqwest", &["http_client.rs", "auth/key_set_source.rs", "telemetry/otlp_exporter.rs"]),
    ("std::env::var", &["config"]),
    ("dotenvy", &["config"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    // The parent of a request's span is read from its headers.
    ("opentelemetry", &["telemetry", "http/request_span.rs"]),
];

const MAX_LINES: usize = 400;

#[test]
fn modules_use_only_the_modules_they_may() {
    for file in source_files() {
        let module = file.top_level_module();
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let (_, allowed) = MODULES
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{} belongs to no module in MODULES", file.path));
        for used in file.text.split("crate::").skip(1) {
            let used = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            let is_module = MODULES.iter().any(|(name, _)| *name == used);
            assert!(!is_module || used == module || allowed.contains(&used), "{} must not use {used}", file.path);
        }
    }
}

/// A module may use only modules that come before it in [`MODULES`].
#[test]
fn modules_have_no_cycles() {
    for (index, (module, allowed)) in MODULES.iter().enumerate() {
        for used in *allowed {
            assert!(
                MODULES[..index].iter().any(|(earlier, _)| earlier == used),
                "{module} uses {used}, which comes after it"
            );
        }
    }
}

#[test]
fn files_do_not_import_each_other_in_cycles() {
    let graph = import_graph(&source_files());
    assert!(graph.len() > 100, "the imports were not found: {graph:?}");
    let cycles: Vec<_> = imports::cycles(&graph).into_iter().map(|cycle| cycle.join(" -> ")).collect();
    assert!(cycles.is_empty(), "files import each other:\n{}", cycles.join("\n"));
}

#[test]
fn the_import_graph_finds_a_cycle() {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let files = [
        file("a/mod.rs", "mod b;\nmod c;\npub use b::B;\nuse c::C;\npub struct Root;\n"),
        file("a/b.rs", "use super::{\n    c::C,\n};\npub struct B;\n"),
        file("a/c.rs", "use crate::a::B;\nuse super::Root;\nimpl Root {}\n"),
    ];
    let graph = import_graph(&files);
    let expected = [("a/b.rs", vec!["a/c.rs"]), ("a/c.rs", vec!["a/b.rs"]), ("a/mod.rs", vec!["a/c.rs"])];
    let expected = expected.map(|(file, used)| (file.to_owned(), used.into_iter().map(str::to_owned).collect()));
    assert_eq!(graph, BTreeMap::from(expected));
    assert_eq!(imports::cycles(&graph), [["a/b.rs", "a/c.rs", "a/b.rs"]]);
}

#[test]
fn crates_are_used_only_where_allowed() {
    for file in source_files() {
        for (name, allowed) in CRATES {
            let is_used = file.text.contains(&format!("{name}::"))
                || file.text.contains(&format!("use {name}"))
                || file.text.contains(&format!("{name}("));
            let is_allowed = allowed.iter().any(|path| file.path.starts_with(path));
            assert!(!is_used || is_allowed, "{} must not use {name}", file.path);
        }
    }
}

#[test]
fn type_names_are_unique_in_the_crate() {
    let mut files_by_type: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in source_files() {
        for name in file.type_names() {
            files_by_type.entry(name).or_default().push(file.path.clone());
        }
    }
    assert!(files_by_type.len() > 100, "the types were not found: {files_by_type:?}");
    files_by_type.retain(|_, files| files.len() > 1);
    assert!(files_by_type.is_empty(), "types with the same name: {files_by_type:#?}");
}

#[test]
fn files_are_small_and_start_with_a_description() {
    for SourceFile { path, text } in source_files() {
        // A table of data has no code to understand.
        let (lines, is_table) = (text.lines().count(), path.ends_with(".csv"));
        assert!(lines <= MAX_LINES || is_table, "{path} has {lines} lines: split it into files with one topic each");
        for vague in ["util", "common", "helper", "service", "manager", "misc"] {
            assert!(!path.contains(vague), "{path}: \"{vague}\" does not say what the file holds");
        }
        let is_page = [".html", ".css", ".js", ".svg", ".md"].iter().any(|end| path.ends_with(end));
        assert!(is_page || is_table || text.starts_with("//!"), "{path} does not start with a `//!` comment");
    }
    let main = source_files().into_iter().find(|file| file.path == "main.rs").unwrap();
    assert!(main.text.lines().count() <= 25);
}
