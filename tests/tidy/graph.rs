//! Which module of a crate names which other, by the paths in its code.
//!
//! Owns: `crate::` and `super::` paths, `use` trees, and what the root re-exports. Never: looks
//! into macros. A room is a module that the crate's root declares, with all below it.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::File;

/// One room names another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    /// `file:line` of the first such path.
    pub(crate) place: String,
}

/// The rooms of a crate, and which names which.
pub(crate) struct Graph {
    pub(crate) rooms: BTreeSet<String>,
    pub(crate) arrows: Vec<Arrow>,
}

/// Reads the crate whose sources lie in `folder`, which ends with a slash.
pub(crate) fn read(product: &[File], folder: &str) -> Graph {
    let files: Vec<(&File, Vec<String>)> = product
        .iter()
        .filter_map(|file| Some((file, module_path(file.name.strip_prefix(folder)?))))
        .collect();
    let rooms: BTreeSet<String> = files
        .iter()
        .filter_map(|(_, module)| module.first().cloned())
        .collect();
    let mut reexports = BTreeMap::new();
    for (root, _) in files.iter().filter(|(_, module)| module.is_empty()) {
        for path in paths(&root.text) {
            let start = usize::from(path.names[0] == "crate" || path.names[0] == "self");
            if let Some(room) = path.names.get(start).filter(|name| rooms.contains(*name)) {
                reexports.insert(path.alias, room.clone());
            }
        }
    }

    let mut arrows: BTreeMap<(String, String), String> = BTreeMap::new();
    for (file, module) in &files {
        let Some(from) = module.first() else {
            continue;
        };
        for path in paths(&file.text) {
            let Some(first) = first_below_root(module, &path.names) else {
                continue;
            };
            let to = match rooms.get(&first).or_else(|| reexports.get(&first)) {
                Some(room) if room != from => room.clone(),
                _ => continue,
            };
            arrows
                .entry((from.clone(), to))
                .or_insert_with(|| format!("{}:{}", file.name, path.line));
        }
    }
    let arrows = arrows
        .into_iter()
        .map(|((from, to), place)| Arrow { from, to, place })
        .collect();
    Graph { rooms, arrows }
}

/// A path in code; of a `use` tree, one of its leaves.
struct Path {
    names: Vec<String>,
    /// The name under which it is known here.
    alias: String,
    line: usize,
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`; the root is empty.
fn module_path(name: &str) -> Vec<String> {
    let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
    match name {
        "lib" | "main" => Vec::new(),
        _ => name.split('/').map(str::to_owned).collect(),
    }
}

fn join(module: &[String], names: &[String]) -> Vec<String> {
    [module, names].concat()
}

/// The name that a path has directly below the root of the crate.
fn first_below_root(module: &[String], names: &[String]) -> Option<String> {
    let (mut depth, mut at) = (module.len(), 0);
    match names[0].as_str() {
        "crate" => (depth, at) = (0, 1),
        "self" => at = 1,
        "super" => {
            while names.get(at).is_some_and(|name| name == "super") {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
        }
        _ => return None,
    }
    join(&module[..depth], &names[at..]).into_iter().next()
}

/// Every path that begins at `crate`, `super` or `self`, and every leaf of a `use`.
fn paths(code: &str) -> Vec<Path> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let (token, _) = &tokens[at];
        let follows = |word: &str| at > 0 && tokens[at - 1].0 == word;
        let is_start = matches!(token.as_str(), "crate" | "super" | "self") && !follows("::");
        if (is_start && tokens.get(at + 1).is_some_and(|next| next.0 == "::")) || follows("use") {
            leaves(&tokens, at, &[], &mut found);
        }
    }
    found
}

/// Names, `::`, and single marks, each with its line.
fn tokens(code: &str) -> Vec<(String, usize)> {
    let mut tokens: Vec<(String, usize)> = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let length = match rest.find(|c| !is_name(c)) {
                None => rest.len(),
                Some(0) if rest.starts_with("::") => 2,
                Some(0) => first.len_utf8(),
                Some(length) => length,
            };
            tokens.push((rest[..length].to_owned(), index + 1));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Follows a path or a tree of them from `at`; returns where it ends.
fn leaves(
    tokens: &[(String, usize)],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Path>,
) -> usize {
    let mut names = prefix.to_vec();
    let token = |at: usize| tokens.get(at).map_or("", |(token, _)| token.as_str());
    loop {
        if token(at) == "{" {
            at += 1;
            while !matches!(token(at), "}" | "") {
                at = leaves(tokens, at, &names, found);
                at += usize::from(token(at) == ",");
            }
            return at + 1;
        }
        if token(at).is_empty() {
            return at + 1;
        }
        names.push(token(at).to_owned());
        if token(at + 1) != "::" {
            break;
        }
        at += 2;
    }
    let line = tokens[at].1;
    let (alias, end) = match token(at + 1) {
        "as" => (token(at + 2).to_owned(), at + 3),
        _ => (token(at).to_owned(), at + 1),
    };
    found.push(Path { names, alias, line });
    end
}

#[test]
fn arrows_are_read_from_paths() {
    let file = |name: &str, text: &str| File {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let sources = [
        file(
            "a/src/lib.rs",
            "mod gate;\nmod session;\npub use gate::{Gate, Door as Way};",
        ),
        file(
            "a/src/gate.rs",
            "use std::fs;\nuse crate::{session::Session, tree};\npub(crate) struct Gate;\n",
        ),
        file(
            "a/src/session/mod.rs",
            "mod life;\npub use life::Life;\nuse super::lock;\nfn all() { crate::Way::new() }",
        ),
        file("a/src/session/life.rs", "use super::super::tree as wood;\n"),
        file("b/src/session/life.rs", "use crate::lock;\n"),
        file(
            "a/src/tree.rs",
            "use self::below;\npub(crate) fn walk() {}\n",
        ),
        file("a/src/lock.rs", ""),
    ];
    let graph = read(&sources, "a/src/");
    let rooms: Vec<&str> = graph.rooms.iter().map(String::as_str).collect();
    assert_eq!(rooms, ["gate", "lock", "session", "tree"]);
    let arrows: Vec<String> = graph
        .arrows
        .iter()
        .map(|arrow| format!("{} -> {} {}", arrow.from, arrow.to, arrow.place))
        .collect();
    assert_eq!(
        arrows,
        [
            "gate -> session a/src/gate.rs:2",
            "gate -> tree a/src/gate.rs:2",
            "session -> gate a/src/session/mod.rs:4",
            "session -> lock a/src/session/mod.rs:3",
            "session -> tree a/src/session/life.rs:1",
        ]
    );
}
