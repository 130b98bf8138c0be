//! Which files import which, from their `use` declarations.
//!
//! An item that a `mod.rs` re-exports counts as an import of the file that declares it. Two things are no imports: the
//! re-exports of a `mod.rs`, which is the table of contents of its folder, and the type of an `impl` block that a file
//! adds to a type of its parent module (`impl Repository` in `repository/contacts.rs`).

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::SourceFile;

/// The imported files of each file that imports any.
pub(crate) type ImportGraph = BTreeMap<String, BTreeSet<String>>;

/// Returns the imports of all files. Unit tests and files that only unit tests use are left out.
pub(crate) fn import_graph(files: &[SourceFile]) -> ImportGraph {
    let crate_files = CrateFiles::new(files);
    let mut graph = ImportGraph::new();
    for file in files.iter().filter(|file| crate_files.paths.contains_key(&module_path(&file.path))) {
        for import in file_imports(file) {
            if let Some(target) = crate_files.resolve(&import.path)
                && target != file.path
                && !is_extended(file, &import, &target)
            {
                graph.entry(file.path.clone()).or_default().insert(target);
            }
        }
    }
    graph
}

/// Returns the cycles in the graph, each as the files from the first to itself. A file is in one cycle at most.
pub(crate) fn cycles(graph: &ImportGraph) -> Vec<Vec<String>> {
    let (mut cycles, mut done) = (vec![], BTreeSet::new());
    for file in graph.keys() {
        visit(graph, file, &mut vec![], &mut done, &mut cycles);
    }
    cycles
}

fn visit(
    graph: &ImportGraph,
    file: &str,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
    cycles: &mut Vec<Vec<String>>,
) {
    if let Some(start) = path.iter().position(|visited| visited == file) {
        let mut cycle = path[start..].to_vec();
        cycle.push(file.to_owned());
        cycles.push(cycle);
        return;
    }
    if !done.contains(file) {
        path.push(file.to_owned());
        graph.get(file).into_iter().flatten().for_each(|used| visit(graph, used, path, done, cycles));
        path.pop();
        done.insert(file.to_owned());
    }
}

/// A path of a `use` declaration, from the crate's root: `["repository", "pool", "Pool"]`.
struct Import {
    path: Vec<String>,
    is_reexport: bool,
}

/// Whether an import names a type of a parent module to which the file adds an `impl` block.
fn is_extended(file: &SourceFile, import: &Import, target: &str) -> bool {
    let name = import.path.last().unwrap();
    let is_parent = target.strip_suffix("mod.rs").is_some_and(|folder| file.path.starts_with(folder));
    is_parent && file.text.contains(&format!("impl {name} {{"))
}

/// Returns the module path of a file: `["http", "batch"]` for `http/batch/mod.rs` and for `http/batch.rs`.
fn module_path(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| !["lib", "main"].contains(part)).map(str::to_owned).collect()
}

/// Returns the imports of a file, with absolute paths. The re-exports of a `mod.rs` are left out.
fn file_imports(file: &SourceFile) -> Vec<Import> {
    let imports = declared_imports(file);
    imports.into_iter().filter(|import| !(import.is_reexport && file.path.ends_with("mod.rs"))).collect()
}

fn declared_imports(file: &SourceFile) -> Vec<Import> {
    let module = module_path(&file.path);
    let mut imports = vec![];
    for declaration in use_declarations(file.code()) {
        let (is_reexport, tree) = match declaration.rsplit_once("use ") {
            Some((visibility, tree)) => (!visibility.trim().is_empty(), tree),
            None => continue,
        };
        for path in expand(tree) {
            if let Some(path) = absolute(&path, &module) {
                imports.push(Import { path, is_reexport });
            }
        }
    }
    imports
}

/// Returns the `use` declarations in a text, each without line breaks and the semicolon.
fn use_declarations(code: &str) -> Vec<String> {
    let mut declarations = vec![];
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let start = line.trim_start();
        let is_use = start.starts_with("use ") || (start.starts_with("pub") && start.contains(" use "));
        if !is_use {
            continue;
        }
        let mut declaration = start.to_owned();
        while !declaration.contains(';') {
            declaration.push_str(lines.next().unwrap_or(";").trim());
        }
        declarations.push(declaration.split(';').next().unwrap().to_owned());
    }
    declarations
}

/// Returns the paths of a `use` tree: `a::{b, c::D}` becomes `a::b` and `a::c::D`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap().trim().to_owned()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut start, mut items) = (0_i32, 0, vec![]);
    for (index, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&inner[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    items.push(&inner[start..]);
    let items = items.into_iter().map(str::trim).filter(|item| !item.is_empty());
    let paths = items.flat_map(expand).map(|item| match item.as_str() {
        "self" => prefix.trim().trim_end_matches("::").to_owned(),
        _ => format!("{}{item}", prefix.trim()),
    });
    paths.collect()
}

/// Returns the path from the crate's root; `None` for paths into other crates. Paths without `crate`, `self` or `super`
/// are taken as relative to the module: those that lead into other crates do not resolve to a file.
fn absolute(path: &str, module: &[String]) -> Option<Vec<String>> {
    let mut segments = path.split("::").map(str::trim).peekable();
    let mut base = module.to_vec();
    match segments.peek().copied()? {
        "crate" => {
            segments.next();
            base.clear();
        }
        "self" => drop(segments.next()),
        "super" => {
            while segments.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
        _ => {}
    }
    base.extend(segments.map(str::to_owned));
    Some(base)
}

/// The files of the crate and their re-exports.
struct CrateFiles {
    /// The file of each module path.
    paths: BTreeMap<Vec<String>, String>,
    /// The path that each re-exported path stands for.
    reexports: BTreeMap<Vec<String>, Vec<String>>,
}

impl CrateFiles {
    fn new(files: &[SourceFile]) -> Self {
        let is_test_only = |file: &SourceFile| {
            let path = module_path(&file.path);
            let name = path.last().cloned().unwrap_or_default();
            files.iter().any(|other| {
                path.starts_with(&module_path(&other.path))
                    && other.text.contains(&format!("#[cfg(test)]\nmod {name};"))
            })
        };
        let files: Vec<_> = files.iter().filter(|file| file.path.ends_with(".rs") && !is_test_only(file)).collect();
        let paths = files.iter().map(|file| (module_path(&file.path), file.path.clone())).collect();
        let mut reexports = BTreeMap::new();
        for file in files {
            for import in declared_imports(file).into_iter().filter(|import| import.is_reexport) {
                let mut exported = module_path(&file.path);
                exported.push(import.path.last().unwrap().clone());
                reexports.insert(exported, import.path);
            }
        }
        Self { paths, reexports }
    }

    /// Returns the file that declares the item or module at a path.
    fn resolve(&self, path: &[String]) -> Option<String> {
        if let Some(original) = self.reexports.get(path)
            && original != path
        {
            return self.resolve(original);
        }
        (1..=path.len()).rev().find_map(|length| self.paths.get(&path[..length]).cloned())
    }
}
