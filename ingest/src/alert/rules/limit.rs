//! The numbers of a threshold: where an alert begins and where it ends.
//!
//! Owns: that they are finite, in order, and that `clear` lies on the good side.

use documents::Mistakes;
use toml::Spanned;

use super::super::threshold::Limit;
use super::file::{Clear, Pair, RuleEntry};

/// The rule's limit and where it clears; `None` when an error was added.
pub(super) fn limit(entry: &RuleEntry, mistakes: &mut Mistakes<'_>) -> Option<Limit> {
    if let Some(above) = &entry.above {
        let at = finite(above, *above.get_ref(), mistakes)?;
        let clear = clear_at(entry, at, mistakes)?;
        return if clear <= at {
            Some(Limit::Above { at, clear })
        } else {
            wrong_side(entry, "must not lie above `above`", mistakes)
        };
    }
    if let Some(below) = &entry.below {
        let at = finite(below, *below.get_ref(), mistakes)?;
        let clear = clear_at(entry, at, mistakes)?;
        return if clear >= at {
            Some(Limit::Below { at, clear })
        } else {
            wrong_side(entry, "must not lie below `below`", mistakes)
        };
    }
    let outside = entry.outside.as_ref()?;
    let [low, high] = range(outside, outside.get_ref().0, mistakes)?;
    let [clear_low, clear_high] = clear_range(entry, [low, high], mistakes)?;
    if clear_low < low || clear_high > high {
        return wrong_side(entry, "must lie within `outside`", mistakes);
    }
    Some(Limit::Outside {
        low,
        high,
        clear_low,
        clear_high,
    })
}

/// Where the alert ends, by default at the threshold itself.
fn clear_at(entry: &RuleEntry, default: f64, mistakes: &mut Mistakes<'_>) -> Option<f64> {
    let Some(clear) = &entry.clear else {
        return Some(default);
    };
    match *clear.get_ref() {
        Clear::At(at) => finite(clear, at, mistakes),
        Clear::Range(_) => {
            mistakes.hint(
                clear.span(),
                "`clear` is a range, and the condition has one limit",
                "write a single number",
            );
            None
        }
    }
}

fn clear_range(
    entry: &RuleEntry,
    default: [f64; 2],
    mistakes: &mut Mistakes<'_>,
) -> Option<[f64; 2]> {
    let Some(clear) = &entry.clear else {
        return Some(default);
    };
    match *clear.get_ref() {
        Clear::Range(Pair(limits)) => range(clear, limits, mistakes),
        Clear::At(_) => {
            mistakes.hint(
                clear.span(),
                "`clear` is a single number, and `outside` has two limits",
                "write the inner range in which all is well again: `clear = [low, high]`",
            );
            None
        }
    }
}

fn wrong_side<T>(entry: &RuleEntry, demand: &str, mistakes: &mut Mistakes<'_>) -> Option<T> {
    if let Some(clear) = &entry.clear {
        mistakes.hint(
            clear.span(),
            format!("`clear` {demand}"),
            "it is where the alert ends, on the good side of where it begins",
        );
    }
    None
}

fn range<T>(place: &Spanned<T>, limits: [f64; 2], mistakes: &mut Mistakes<'_>) -> Option<[f64; 2]> {
    let low = finite(place, limits[0], mistakes)?;
    let high = finite(place, limits[1], mistakes)?;
    if low > high {
        mistakes.hint(
            place.span(),
            format!("the range begins at `{low}` and ends at `{high}`"),
            "write the lower number first",
        );
        return None;
    }
    Some([low, high])
}

fn finite<T>(place: &Spanned<T>, number: f64, mistakes: &mut Mistakes<'_>) -> Option<f64> {
    if !number.is_finite() {
        mistakes.add(
            place.span(),
            format!("`{number}` is not a number to compare with"),
        );
        return None;
    }
    Some(number)
}
