//! Packets as they are written in the tables: bytes, with groups whose length is computed.
//!
//! Owns: the notation below, its encoding and its matching. Never: knows MQTT beyond a length in
//! front of something.
//!
//! ```text
//! 30 0A        bytes, in hexadecimal
//! "a/b"        a string: two bytes of length, then UTF-8
//! 'a/b'        the characters alone
//! "x"*70       the character(s) so often, inside the string
//! [ … ]        the length of what is inside as a variable byte integer, then what is inside
//! { … }        the same in MQTT 5; nothing at all in 3.1.1, which has no properties
//! < … >        the bytes inside in MQTT 5, nothing in 3.1.1
//! ?            any byte (expected packets only)
//! *            any bytes up to what follows, inside its group (expected packets only)
//! 0A~0F        one byte of this range (expected packets only)
//! %            the protocol level, 4 or 5
//! !8F          a refusal: this byte in MQTT 5, 80 in 3.1.1
//! $name        two bytes: the first match gives the name its value, later uses mean that value
//! ```

use std::collections::HashMap;

use mqtt::Version;

/// The values of `$names`, for one script.
pub(crate) type Bindings = HashMap<String, [u8; 2]>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    Byte(u8),
    Between(u8, u8),
    Level,
    Refusal(u8),
    AnyByte,
    AnyRun,
    Name(String),
    Group { kind: Kind, inside: Vec<Atom> },
}

impl Atom {
    fn is_one_byte(&self) -> bool {
        !matches!(self, Atom::AnyRun | Atom::Name(_) | Atom::Group { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `[ ]`
    Lengthy,
    /// `{ }`
    Properties,
    /// `< >`
    OnlyV5,
}

impl Kind {
    fn of(opening: char) -> (Kind, char) {
        match opening {
            '[' => (Kind::Lengthy, ']'),
            '{' => (Kind::Properties, '}'),
            _ => (Kind::OnlyV5, '>'),
        }
    }

    fn is_absent(self, version: Version) -> bool {
        self != Kind::Lengthy && version == Version::V311
    }
}

/// A packet to send, or the pattern of one that is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bytes(Vec<Atom>);

impl Bytes {
    pub(crate) fn parse(text: &str) -> Result<Bytes, String> {
        let mut characters = text.chars().peekable();
        let mut open: Vec<(char, Vec<Atom>)> = vec![(' ', Vec::new())];
        while let Some(character) = characters.next() {
            let top = &mut open.last_mut().expect("the outermost never closes").1;
            match character {
                ' ' => {}
                '?' => top.push(Atom::AnyByte),
                '!' => match hex_byte(characters.next(), characters.next()) {
                    Some(reason) => top.push(Atom::Refusal(reason)),
                    None => return Err("`!` needs a byte".into()),
                },
                '%' => top.push(Atom::Level),
                '~' => {
                    let high = hex_byte(characters.next(), characters.next());
                    match (top.pop(), high) {
                        (Some(Atom::Byte(low)), Some(high)) => top.push(Atom::Between(low, high)),
                        _ => return Err("`~` stands between two bytes".into()),
                    }
                }
                '*' => top.push(Atom::AnyRun),
                '$' => {
                    let mut name = String::new();
                    while let Some(letter) = characters.next_if(|c| c.is_alphanumeric()) {
                        name.push(letter);
                    }
                    top.push(Atom::Name(name));
                }
                '[' | '{' | '<' => open.push((character, Vec::new())),
                ']' | '}' | '>' => {
                    let (opened, inside) = open.pop().expect("one at least");
                    let (kind, closing) = Kind::of(opened);
                    match open.last_mut() {
                        Some((_, outer)) if character == closing => {
                            outer.push(Atom::Group { kind, inside });
                        }
                        _ => return Err(format!("`{opened}` is closed by `{character}`")),
                    }
                }
                '"' | '\'' => {
                    let mut content = String::new();
                    loop {
                        match characters.next() {
                            Some(end) if end == character => break,
                            Some(letter) => content.push(letter),
                            None => return Err(format!("`{content}` has no end")),
                        }
                    }
                    if characters.next_if_eq(&'*').is_some() {
                        let mut digits = String::new();
                        while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                            digits.push(digit);
                        }
                        let times = digits.parse().map_err(|_| "`*` needs a number")?;
                        content = content.repeat(times);
                    }
                    if character == '"' {
                        let length = u16::try_from(content.len()).map_err(|_| "too long")?;
                        top.extend(length.to_be_bytes().map(Atom::Byte));
                    }
                    top.extend(content.bytes().map(Atom::Byte));
                }
                high => match hex_byte(Some(high), characters.next()) {
                    Some(byte) => top.push(Atom::Byte(byte)),
                    None => return Err(format!("`{high}` begins no byte in `{text}`")),
                },
            }
        }
        match open.len() {
            1 => Ok(Bytes(open.remove(0).1)),
            _ => Err(format!("a group stays open in `{text}`")),
        }
    }

    /// The bytes to send.
    pub(crate) fn encode(&self, version: Version, names: &Bindings) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        encode(&self.0, version, names, &mut out)?;
        Ok(out)
    }

    /// Whether the bytes are what is expected; gives new names their values if so.
    pub(crate) fn matches(&self, version: Version, bytes: &[u8], names: &mut Bindings) -> bool {
        let mut found = names.clone();
        let matched = matches(&self.0, version, bytes, &mut found);
        if matched {
            *names = found;
        }
        matched
    }
}

fn hex_byte(high: Option<char>, low: Option<char>) -> Option<u8> {
    let (high, low) = (high?.to_digit(16)?, low?.to_digit(16)?);
    u8::try_from(high << 4 | low).ok()
}

fn level(version: Version) -> u8 {
    match version {
        Version::V311 => 4,
        Version::V5 => 5,
    }
}

fn refusal(reason: u8, version: Version) -> u8 {
    match version {
        Version::V311 => 0x80,
        Version::V5 => reason,
    }
}

fn encode(
    atoms: &[Atom],
    version: Version,
    names: &Bindings,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    for atom in atoms {
        match atom {
            Atom::Byte(byte) => out.push(*byte),
            Atom::Name(name) => {
                let value = names.get(name).ok_or(format!("`${name}` has no value"))?;
                out.extend_from_slice(value);
            }
            Atom::Group { kind, .. } if kind.is_absent(version) => {}
            Atom::Group {
                kind: Kind::OnlyV5,
                inside,
            } => encode(inside, version, names, out)?,
            Atom::Group { inside, .. } => {
                let mut content = Vec::new();
                encode(inside, version, names, &mut content)?;
                let mut rest = content.len();
                loop {
                    let more = u8::from(rest > 0x7F) << 7;
                    out.push((rest & 0x7F) as u8 | more);
                    rest >>= 7;
                    if rest == 0 {
                        break;
                    }
                }
                out.extend_from_slice(&content);
            }
            Atom::Level => out.push(level(version)),
            Atom::Refusal(reason) => out.push(refusal(*reason, version)),
            Atom::AnyByte | Atom::AnyRun | Atom::Between(..) => {
                return Err("a pattern cannot be sent".into());
            }
        }
    }
    Ok(())
}

fn matches(mut atoms: &[Atom], version: Version, mut bytes: &[u8], names: &mut Bindings) -> bool {
    // A loop over what takes one byte, since a topic may be 65,535 of them: too many to recurse.
    while let Some((atom, rest)) = atoms.split_first()
        && atom.is_one_byte()
    {
        match bytes.split_first() {
            Some((byte, after)) if takes(atom, *byte, version) => {
                (atoms, bytes) = (rest, after);
            }
            _ => return false,
        }
    }
    let Some((first, rest)) = atoms.split_first() else {
        return bytes.is_empty();
    };
    match first {
        Atom::AnyRun => (0..=bytes.len()).any(|skip| {
            let mut tried = names.clone();
            let matched = matches(rest, version, &bytes[skip..], &mut tried);
            if matched {
                *names = tried;
            }
            matched
        }),
        Atom::Name(name) => {
            let Some((value, after)) = bytes.split_first_chunk() else {
                return false;
            };
            names.entry(name.clone()).or_insert(*value) == value
                && matches(rest, version, after, names)
        }
        Atom::Group { kind, .. } if kind.is_absent(version) => matches(rest, version, bytes, names),
        Atom::Group {
            kind: Kind::OnlyV5,
            inside,
        } => {
            let flat: Vec<Atom> = inside.iter().chain(rest).cloned().collect();
            matches(&flat, version, bytes, names)
        }
        Atom::Group { inside, .. } => {
            let Some((length, header)) = read_length(bytes) else {
                return false;
            };
            let body = &bytes[header..];
            body.len() >= length
                && matches(inside, version, &body[..length], names)
                && matches(rest, version, &body[length..], names)
        }
        // The loop has taken every other.
        _ => false,
    }
}

/// Whether an atom of one byte takes this one.
fn takes(atom: &Atom, byte: u8, version: Version) -> bool {
    match atom {
        Atom::Byte(expected) => byte == *expected,
        Atom::Between(low, high) => (*low..=*high).contains(&byte),
        Atom::Level => byte == level(version),
        Atom::Refusal(reason) => byte == refusal(*reason, version),
        _ => true,
    }
}

/// A variable byte integer in front of `bytes`, and how many bytes it takes; `None` when it is not
/// complete.
pub(crate) fn read_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((length, index + 1));
        }
    }
    None
}

#[test]
fn the_notation_is_encoded_as_described() {
    let names = Bindings::from([("id".to_owned(), [0x12, 0x34])]);
    let cases: [(&str, Version, &[u8]); 6] = [
        ("C0 []", Version::V5, b"\xC0\x00"),
        (
            "30 [ \"a/b\" 'xy' ]",
            Version::V311,
            b"\x30\x07\x00\x03a/bxy",
        ),
        (
            "32 [ \"a\" $id {} 'x' ]",
            Version::V5,
            b"\x32\x07\x00\x01a\x12\x34\x00x",
        ),
        (
            "32 [ \"a\" $id {} 'x' ]",
            Version::V311,
            b"\x32\x06\x00\x01a\x12\x34x",
        ),
        (
            "{ 11 00000001 } \"é\"",
            Version::V5,
            b"\x05\x11\x00\x00\x00\x01\x00\x02\xC3\xA9",
        ),
        ("'ab'*3", Version::V5, b"ababab"),
    ];
    for (text, version, bytes) in cases {
        let parsed = Bytes::parse(text).expect(text);
        assert_eq!(parsed.encode(version, &names).expect(text), bytes, "{text}");
        assert!(parsed.matches(version, bytes, &mut names.clone()), "{text}");
    }
    let long = Bytes::parse("[ 'x'*200 ]").expect("good");
    assert_eq!(
        &long.encode(Version::V5, &names).expect("good")[..3],
        b"\xC8\x01x"
    );
    for bad in ["3", "zz", "[ 00", "00 ]", "{ 00 ]", "\"open"] {
        assert!(Bytes::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_pattern_takes_only_what_it_says() {
    let mut names = Bindings::new();
    let mut check = |text: &str, bytes: &[u8]| {
        let pattern = Bytes::parse(text).expect(text);
        pattern.matches(Version::V5, bytes, &mut names)
    };
    assert!(check(
        "20 [ 00 00 [ * 21 0001 * ] ]",
        b"\x20\x06\x00\x00\x03\x21\x00\x01"
    ));
    assert!(check(
        "20 [ 00 00 [ * 21 * ] ]",
        b"\x20\x06\x00\x00\x03\x21\x00\x01"
    ));
    assert!(check("02 01~03", b"\x02\x03") && !check("02 01~03", b"\x02\x04"));
    assert!(!check(
        "20 [ 00 00 [ * 21 0002 * ] ]",
        b"\x20\x06\x00\x00\x03\x21\x00\x01"
    ));
    assert!(check("90 [ ? ? 00 ]", b"\x90\x03\x00\x01\x00"));
    assert!(!check("D0 []", b"\xD0\x00\x00"));
    assert!(check("40 [ $a ]", b"\x40\x02\x00\x07"));
    assert!(check("40 [ $a ]", b"\x40\x02\x00\x07"));
    assert!(!check("40 [ $a ]", b"\x40\x02\x00\x08"));
}
