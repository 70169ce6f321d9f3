//! Every message that docs/operations.md explains is one that the program logs: a reader searches
//! the page for the words of the log.

use crate::files;

const DOCUMENT: &str = "docs/operations.md";
const HEADING: &str = "## What warnings mean";

#[test]
fn every_message_of_the_warnings_table_is_logged() {
    let mut sources = files::sources();
    sources.retain(|file| !file.name.contains("tests"));
    let literals: Vec<String> = sources.iter().map(|file| joined(&file.text)).collect();
    let document = std::fs::read_to_string(files::root().join(DOCUMENT)).expect("the document");
    let messages = messages(&document);
    assert!(messages.len() > 40, "only {} messages", messages.len());
    let found: Vec<String> = messages
        .into_iter()
        .filter(|message| !literals.iter().any(|text| is_in(text, message)))
        .map(str::to_owned)
        .collect();
    files::assert_none(
        &found,
        "the warnings table of docs/operations.md explains messages that no source has; write them \
         there as the log does",
    );
}

/// The first column of the table under the heading.
fn messages(document: &str) -> Vec<&str> {
    let table = document.split_once(HEADING).expect("the heading").1;
    let table = table.split("\n## ").next().expect("the section");
    table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
        .skip(1)
        .map(|line| line.trim_start_matches("| ").split(" | ").next())
        .map(|message| message.expect("a first column").trim())
        .collect()
}

/// Literals that are broken over lines, in one piece.
fn joined(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut parts = text.split("\\\n");
    joined.push_str(parts.next().expect("a first part"));
    for part in parts {
        joined.push_str(part.trim_start());
    }
    joined
}

/// Whether the text has the message. What is in backticks may be a placeholder there.
fn is_in(text: &str, message: &str) -> bool {
    if text.contains(message) {
        return true;
    }
    let mut pieces = message.split('`').step_by(2).map(str::trim);
    let longest = pieces.by_ref().max_by_key(|piece| piece.len());
    longest.is_some_and(|piece| piece.len() > 11 && text.contains(piece))
}

#[test]
fn a_message_is_found_over_lines_and_with_placeholders() {
    let text = joined("warn!(\"the store is \\\n        away in `{place}`, trying again soon\")");
    assert!(is_in(&text, "the store is away"));
    assert!(is_in(
        &text,
        "the store is away in `here`, trying again soon"
    ));
    assert!(!is_in(&text, "the store is here"));
    let document = "## What warnings mean\n\n| message | meaning |\n| --- | --- |\n\
                    | it broke | mend it |\n\n## Next\n| not this | one |\n";
    assert_eq!(messages(document), ["it broke"]);
}
