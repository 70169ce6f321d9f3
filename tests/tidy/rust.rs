//! Which characters of a Rust file are code, comment or literal.
//!
//! Owns: the few rules of the language that tell them apart. Never: parses further; the rules look
//! for words in what is left.

/// What a character belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Code,
    Comment,
    /// A string or a character with its quotes.
    Literal,
}

/// Every character of a text with its kind.
pub(crate) fn classify(text: &str) -> Vec<(char, Kind)> {
    let chars: Vec<char> = text.chars().collect();
    let mut classified = Vec::with_capacity(chars.len());
    let mut at = 0;
    while at < chars.len() {
        let (length, kind) = next(&chars, at);
        let end = (at + length.max(1)).min(chars.len());
        classified.extend(chars[at..end].iter().map(|&c| (c, kind)));
        at = end;
    }
    classified
}

/// The text with comments and literals blanked out: the same lines, the same columns.
pub(crate) fn code(text: &str) -> String {
    classify(text)
        .into_iter()
        .map(|(c, kind)| match kind {
            Kind::Code => c,
            Kind::Comment | Kind::Literal if c == '\n' => c,
            Kind::Comment | Kind::Literal => ' ',
        })
        .collect()
}

/// How many characters from here on are of one kind.
fn next(chars: &[char], at: usize) -> (usize, Kind) {
    let rest = &chars[at..];
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    match rest {
        ['/', '/', ..] => (until(rest, &['\n']), Kind::Comment),
        ['/', '*', ..] => (block(rest), Kind::Comment),
        ['"', ..] => (string(rest, 0), Kind::Literal),
        ['\'', ..] => character(rest),
        // A raw string, unless the letter ends a word.
        ['r', '"' | '#', ..] | ['b' | 'c', 'r', '"' | '#', ..]
            if at == 0 || !is_word(&chars[at - 1]) =>
        {
            raw(rest)
        }
        _ => (1, Kind::Code),
    }
}

fn until(rest: &[char], end: &[char]) -> usize {
    rest.windows(end.len())
        .position(|window| window == end)
        .unwrap_or(rest.len())
}

/// The length of a block comment, which may hold others.
fn block(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => depth += 1,
            ['*', '/', ..] => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string from its opening quote, which stands behind a prefix.
fn string(rest: &[char], prefix: usize) -> usize {
    let mut at = prefix + 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// A character literal, or the quote of a lifetime.
fn character(rest: &[char]) -> (usize, Kind) {
    match rest {
        [_, '\\', _, after @ ..] => (3 + until(after, &['\'']) + 1, Kind::Literal),
        [_, _, '\'', ..] => (3, Kind::Literal),
        _ => (1, Kind::Code),
    }
}

/// A raw string, or the start of a raw identifier.
fn raw(rest: &[char]) -> (usize, Kind) {
    let prefix = rest.iter().take_while(|c| c.is_alphabetic()).count();
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return (1, Kind::Code);
    }
    let mut close = vec!['"'];
    close.resize(1 + hashes, '#');
    let inside = until(&rest[open + 1..], &close);
    (open + 1 + inside + close.len(), Kind::Literal)
}

#[test]
fn comments_and_literals_are_told_from_code() {
    let cases = [
        ("a // b", "a"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("b // c")"#, "f(        )"),
        (r##"r#"a"b"# c"##, "         c"),
        (r#""a\"b" c"#, "       c"),
        (r#"b"a" c"#, "b    c"),
        ("'\"' b", "    b"),
        (r"'\'' b", "     b"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("r#type b", "r#type b"),
    ];
    for (text, expected) in cases {
        assert_eq!(code(text).trim_end(), expected, "{text}");
    }
}
