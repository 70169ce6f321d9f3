//! Passwords in URLs, kept out of what is shown.
//!
//! Owns: which part of a text may be a password. Never: decides whether a URL is right. Invariant:
//! the text keeps its length in bytes and its lines, so that a caret under it still points at what
//! it pointed at.

/// `text` with everything that may hold a password of a URL replaced by `*`: between `://` and the
/// last `@` of the line, and what follows `password=` behind a `://`. Where a URL is malformed, its
/// parts cannot be told apart, so rather too much is hidden than a part of a password shown.
pub(super) fn passwords(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let Some(scheme) = line.find("://") else {
        return line.to_owned();
    };
    let (before, url) = line.split_at(scheme + "://".len());
    // The quote that closes a string in a file, or in a message, is none of the password.
    let end = url
        .trim_end_matches(['\r', '\n', ' ', '"', '\'', '`', ','])
        .len();
    let (url, after) = url.split_at(end);
    let parameter = url.find("password=").map(|at| at + "password=".len());
    let (hidden, shown, value) = match (url.rfind('@'), parameter) {
        (Some(at), Some(value)) if at < value => (&url[..at], &url[at..value], &url[value..]),
        (_, Some(value)) => ("", &url[..value], &url[value..]),
        (Some(at), None) => (&url[..at], &url[at..], ""),
        (None, None) => ("", url, ""),
    };
    // An `@` in front of the parameter may itself be part of a password in front of the host.
    let shown = match hidden {
        "" if shown.contains('@') => stars(shown),
        _ => shown.to_owned(),
    };
    format!("{before}{}{shown}{}{after}", stars(hidden), stars(value))
}

/// As many bytes as there were.
fn stars(hidden: &str) -> String {
    "*".repeat(hidden.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_password_is_left_however_it_is_written() {
        for url in [
            "postgres://me:hunter2@host/db",
            "postgres://me:hun@ter2@host/db",
            "postgres://me:hun@ter2/hunter2@host:5432/db",
            "postgres://host/db?user=me&password=hunter2",
            "postgres://host/db?user=me&password=hun@ter2",
            "postgres://me:hunter2@host/db?password=hunter2",
            "postgre://me:hunt:er2@host",
            "mqtts://me:hünter2@host",
        ] {
            for text in [
                format!("url = \"{url}\"\r\nnext = 1\n"),
                format!("wrong type of `store`: string \"{url}\""),
            ] {
                let shown = passwords(&text);
                for part in ["hun", "ter2", "er2", "hün"] {
                    assert!(!shown.contains(part), "{shown}");
                }
                assert_eq!(shown.len(), text.len(), "{shown}");
                assert_eq!(shown.lines().count(), text.lines().count());
            }
        }
        let harmless = "a@b.c\nlisten = \"wss://host/mqtt\" # me\n";
        assert_eq!(passwords(harmless), harmless);
    }
}
