//! The code of the product: Rust without comments and literals, and without what is for tests.
//!
//! Owns: what counts as a test. Lines and columns stay where they are.

use crate::files::File;
use crate::rust;

/// Folders of tests, benches and what they share.
const OF_TESTS: [&str; 5] = ["tests", "benches", "fuzz", "testkit", "fuzzing"];

/// The files of the product, each with its code alone.
pub(crate) fn code(sources: &[File]) -> Vec<File> {
    let mut product = Vec::new();
    let mut test_modules = Vec::new();
    for file in sources {
        let mut folders = file.name.split('/');
        if folders.any(|folder| OF_TESTS.contains(&folder)) {
            continue;
        }
        let (text, modules) = without_tests(&rust::code(&file.text));
        let place = match file.name.trim_end_matches(".rs").rsplit_once('/') {
            Some((folder, "mod" | "lib" | "main")) => folder,
            _ => file.name.trim_end_matches(".rs"),
        };
        test_modules.extend(modules.iter().map(|module| format!("{place}/{module}")));
        let name = file.name.clone();
        product.push(File { name, text });
    }
    product.retain(|file| {
        !test_modules.iter().any(|module| {
            let rest = file.name.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
    });
    product
}

/// Blanks what is compiled for tests alone, and tells the modules among it.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let mut chars: Vec<char> = code.chars().collect();
    let mut modules = Vec::new();
    for mark in ["#[cfg(test)]", "#[cfg(any(test", "#[cfg(all(test"] {
        let mark: Vec<char> = mark.chars().collect();
        let mut at = 0;
        while at + mark.len() <= chars.len() {
            if chars[at..].starts_with(&mark) {
                let end = item_end(&chars, at);
                let item: String = chars[at..end].iter().collect();
                modules.extend(declared_module(&item));
                for c in chars[at..end].iter_mut().filter(|c| **c != '\n') {
                    *c = ' ';
                }
            }
            at += 1;
        }
    }
    (chars.into_iter().collect(), modules)
}

/// Where the item ends whose attribute begins at `at`.
fn item_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut in_attribute) = (0_usize, false);
    for (index, c) in chars.iter().enumerate().skip(at) {
        match c {
            '#' if depth == 0 => in_attribute = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *c == '}' {
                    return index + 1;
                }
                in_attribute &= depth > 0;
            }
            ';' | ',' if depth == 0 && !in_attribute => return index + 1,
            _ => {}
        }
    }
    chars.len()
}

fn declared_module(item: &str) -> Option<String> {
    let declaration = item.rsplit(']').next()?.trim().strip_suffix(';')?;
    let name = declaration.rsplit_once("mod ")?.1.trim();
    Some(name.to_owned())
}

#[test]
fn what_is_for_tests_alone_is_left_out() {
    let file = |name: &str, text: &str| File {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let sources = [
        file(
            "a/src/lib.rs",
            "mod gate;\n#[cfg(test)]\n#[allow(x)]\nmod fakes;\n#[cfg(test)]\nfn f() { g({}) }\nfn h() {}",
        ),
        file(
            "a/src/gate.rs",
            "struct G {\n    #[cfg(any(test, fuzzing))]\n    skipped: u64,\n    gate: u64, // gate\n}\n\
             #[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more {\n    fn f() {}\n}\n",
        ),
        file("a/src/fakes/mod.rs", "fn f() {}"),
        file("a/src/fakes/disk.rs", "fn f() {}"),
        file("a/src/gate/tests.rs", "fn f() {}"),
        file("a/tests/gate/main.rs", "fn f() {}"),
    ];
    let product = code(&sources);
    let lines: Vec<(&str, Vec<&str>)> = product
        .iter()
        .map(|file| {
            let lines = file.text.lines().map(str::trim);
            (
                file.name.as_str(),
                lines.filter(|line| !line.is_empty()).collect(),
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("a/src/lib.rs", vec!["mod gate;", "fn h() {}"]),
            ("a/src/gate.rs", vec!["struct G {", "gate: u64,", "}"]),
        ]
    );
}
