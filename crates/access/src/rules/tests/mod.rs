mod cases;
mod equivalence;
mod errors;

use super::*;

#[test]
fn the_built_in_rules_are_right() {
    assert_eq!(Policy::built_in().rules(), 7);
}
