//! The numbers of a threshold: where an alert begins and where it ends.
//!
//! Owns: that they are finite, in order, and that `clear` lies on the good side.

use toml::Spanned;

use super::super::threshold::Limit;
use super::check::Errors;
use super::file::{Clear, Pair, RuleEntry};

/// The rule's limit and where it clears; `None` when an error was added.
pub(super) fn limit(entry: &RuleEntry, errors: &mut Errors<'_>) -> Option<Limit> {
    if let Some(above) = &entry.above {
        let at = finite(above, *above.get_ref(), errors)?;
        let clear = clear_at(entry, at, errors)?;
        return if clear <= at {
            Some(Limit::Above { at, clear })
        } else {
            wrong_side(entry, "must not lie above `above`", errors)
        };
    }
    if let Some(below) = &entry.below {
        let at = finite(below, *below.get_ref(), errors)?;
        let clear = clear_at(entry, at, errors)?;
        return if clear >= at {
            Some(Limit::Below { at, clear })
        } else {
            wrong_side(entry, "must not lie below `below`", errors)
        };
    }
    let outside = entry.outside.as_ref()?;
    let [low, high] = range(outside, outside.get_ref().0, errors)?;
    let [clear_low, clear_high] = clear_range(entry, [low, high], errors)?;
    if clear_low < low || clear_high > high {
        return wrong_side(entry, "must lie within `outside`", errors);
    }
    Some(Limit::Outside {
        low,
        high,
        clear_low,
        clear_high,
    })
}

/// Where the alert ends, by default at the threshold itself.
fn clear_at(entry: &RuleEntry, default: f64, errors: &mut Errors<'_>) -> Option<f64> {
    let Some(clear) = &entry.clear else {
        return Some(default);
    };
    match *clear.get_ref() {
        Clear::At(at) => finite(clear, at, errors),
        Clear::Range(_) => {
            errors.hint(
                clear,
                "`clear` is a range, and the condition has one limit",
                "write a single number",
            );
            None
        }
    }
}

fn clear_range(entry: &RuleEntry, default: [f64; 2], errors: &mut Errors<'_>) -> Option<[f64; 2]> {
    let Some(clear) = &entry.clear else {
        return Some(default);
    };
    match *clear.get_ref() {
        Clear::Range(Pair(limits)) => range(clear, limits, errors),
        Clear::At(_) => {
            errors.hint(
                clear,
                "`clear` is a single number, and `outside` has two limits",
                "write the inner range in which all is well again: `clear = [low, high]`",
            );
            None
        }
    }
}

fn wrong_side<T>(entry: &RuleEntry, demand: &str, errors: &mut Errors<'_>) -> Option<T> {
    if let Some(clear) = &entry.clear {
        errors.hint(
            clear,
            format!("`clear` {demand}"),
            "it is where the alert ends, on the good side of where it begins",
        );
    }
    None
}

fn range<T>(place: &Spanned<T>, limits: [f64; 2], errors: &mut Errors<'_>) -> Option<[f64; 2]> {
    let low = finite(place, limits[0], errors)?;
    let high = finite(place, limits[1], errors)?;
    if low > high {
        errors.hint(
            place,
            format!("the range begins at `{low}` and ends at `{high}`"),
            "write the lower number first",
        );
        return None;
    }
    Some([low, high])
}

fn finite<T>(place: &Spanned<T>, number: f64, errors: &mut Errors<'_>) -> Option<f64> {
    if !number.is_finite() {
        errors.add(
            place,
            format!("`{number}` is not a number to compare with"),
            None,
        );
        return None;
    }
    Some(number)
}
