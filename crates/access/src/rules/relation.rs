//! How two topic filters lie to each other: one covers the other, or they share a topic.
//!
//! Owns: both relations for plain filters, without `$share` and without placeholders. Never:
//! allocates. Invariant: `covers` is never true when a topic matches `narrow` and not `wide`;
//! `overlaps` is never false when a topic matches both.

/// Whether every topic that matches `narrow` matches `wide` too.
///
/// A filter that begins with a wildcard does not reach topics that begin with `$`. [MQTT-4.7.2-1]
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    if begins_with_wildcard(wide) && narrow.starts_with('$') {
        return false;
    }
    // A topic has at least one level, so these two mean the same; further down `a/+/#` does not
    // match `a`.
    let wide = if wide == "+/#" { "#" } else { wide };
    let mut narrow = narrow.split('/');
    for level in wide.split('/') {
        if level == "#" {
            return true;
        }
        match narrow.next() {
            Some(found) if found == level => {}
            Some(found) if level == "+" && found != "#" => {}
            _ => return false,
        }
    }
    narrow.next().is_none()
}

/// Whether some topic matches both.
pub(super) fn overlaps(one: &str, other: &str) -> bool {
    let apart = |one: &str, other: &str| begins_with_wildcard(one) && other.starts_with('$');
    if apart(one, other) || apart(other, one) {
        return false;
    }
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            // `a/#` matches `a`, so a `#` also meets a filter that has ended.
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(level), Some(found)) if level == found || level == "+" || found == "+" => {}
            _ => return false,
        }
    }
}

fn begins_with_wildcard(filter: &str) -> bool {
    filter.starts_with(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt::topic::matches;

    const LEVELS: [&str; 5] = ["a", "b", "", "$s", "+"];

    /// Every filter of up to three levels over a small alphabet, with and without `#` at its end.
    fn filters() -> Vec<String> {
        let mut all = vec!["#".to_owned()];
        let mut last = vec![String::new()];
        for depth in 0..3 {
            let longer = last.iter().flat_map(|start| {
                LEVELS.map(|level| match depth {
                    0 => level.to_owned(),
                    _ => format!("{start}/{level}"),
                })
            });
            last = longer.collect();
            for filter in &last {
                all.push(format!("{filter}/#"));
                // The empty string is not a filter.
                all.extend((!filter.is_empty()).then(|| filter.clone()));
            }
        }
        all
    }

    /// Every topic of up to four levels: deeper than the filters, and with a level that no filter
    /// names. The empty topic is among them: it cannot be published to, and both relations hold
    /// with it too.
    fn topics() -> Vec<String> {
        let mut all = Vec::new();
        let mut last = vec![String::new()];
        for depth in 0..4 {
            let longer = last.iter().flat_map(|start| {
                ["a", "b", "", "$s", "z"].map(|level| match depth {
                    0 => level.to_owned(),
                    _ => format!("{start}/{level}"),
                })
            });
            last = longer.collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn both_relations_are_exact_over_enumerated_topics() {
        let (filters, topics) = (filters(), topics());
        // The topics of each filter as bits.
        let sets: Vec<Vec<u64>> = filters
            .iter()
            .map(|filter| {
                let mut set = vec![0; topics.len().div_ceil(64)];
                for (at, topic) in topics.iter().enumerate() {
                    set[at / 64] |= u64::from(matches(filter, topic)) << (at % 64);
                }
                set
            })
            .collect();
        for (one, one_set) in filters.iter().zip(&sets) {
            for (other, other_set) in filters.iter().zip(&sets) {
                let pairs = || one_set.iter().zip(other_set);
                let subset = pairs().all(|(one, other)| other & !one == 0);
                assert_eq!(covers(one, other), subset, "{one} covers {other}");
                let meet = pairs().any(|(one, other)| one & other != 0);
                assert_eq!(overlaps(one, other), meet, "{one} overlaps {other}");
            }
        }
    }
}
