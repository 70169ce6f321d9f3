//! Which name a misspelt one was probably meant to be.
//!
//! Owns: the one measure of nearness. Invariant: of names that are equally near, the one that the
//! caller lists first is suggested.

/// The similarity (Jaro-Winkler) from which on a suggestion is more than a guess.
const SIMILARITY_MIN: f64 = 0.8;

/// The known name that `name` is most likely a typo of.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let mut best = (SIMILARITY_MIN, None);
    for candidate in known {
        let similarity = strsim::jaro_winkler(name, candidate);
        if similarity > best.0 {
            best = (similarity, Some(candidate));
        }
    }
    best.1
}

pub fn is_typo(name: &str, known: &str) -> bool {
    nearest(name, [known]).is_some()
}

pub fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}
