use std::collections::HashSet;

use super::*;

#[test]
fn known_points() {
    #[track_caller]
    fn check(name: &str, from: f64, to: f64) {
        let found = find(name).unwrap_or_else(|| panic!("no conversion `{name}`"));
        let converted = found.apply(from);
        let tolerance = 1e-9 * to.abs().max(1.0);
        assert!(
            (converted - to).abs() <= tolerance,
            "{name}: {converted}, not {to}"
        );
    }
    check("f_to_c", 212.0, 100.0);
    check("f_to_c", -40.0, -40.0);
    check("c_to_f", 37.0, 98.6);
    check("k_to_c", 0.0, -273.15);
    check("k_to_f", 273.15, 32.0);
    check("f_to_k", 32.0, 273.15);
    check("psi_to_bar", 14.503_773_773_022, 1.0);
    check("bar_to_psi", 1.0, 14.503_773_773_022);
    check("mmhg_to_kpa", 760.0, 101.325_024);
    check("kmh_to_ms", 36.0, 10.0);
    check("mph_to_kmh", 100.0, 160.9344);
    check("knots_to_kmh", 10.0, 18.52);
    check("wh_to_kwh", 1_500.0, 1.5);
    check("j_to_kwh", 3.6e6, 1.0);
    check("hp_to_kw", 1.0, 0.745_699_871_582);
    check("ft_to_m", 10.0, 3.048);
    check("gpm_to_lpm", 1.0, 3.785_411_784);
    check("lpm_to_m3h", 100.0, 6.0);
    check("ppm_to_percent", 10_000.0, 1.0);
    check("rpm_to_hz", 3_000.0, 50.0);
    check("deg_to_rad", 180.0, std::f64::consts::PI);
}

#[test]
fn a_way_there_and_back_ends_where_it_began() {
    let mut pairs = 0;
    for there in CONVERSIONS {
        let Some((from, to)) = there.name.split_once("_to_") else {
            panic!("`{}` does not say what it does", there.name);
        };
        let Some(back) = find(&format!("{to}_to_{from}")) else {
            continue;
        };
        pairs += 1;
        let value = back.apply(there.apply(12.5));
        assert!(
            (value - 12.5).abs() < 1e-9,
            "{} and back: {value}",
            there.name
        );
    }
    assert!(pairs > 20);
}

#[test]
fn names_are_unique_and_factors_finite() {
    let names: HashSet<_> = CONVERSIONS
        .iter()
        .map(|conversion| conversion.name)
        .collect();
    assert_eq!(names.len(), CONVERSIONS.len());
    for conversion in CONVERSIONS {
        assert!(conversion.scale.is_finite() && conversion.scale > 0.0);
        assert!(conversion.offset.is_finite());
    }
    assert_eq!(find("furlong_to_parsec"), None);
}
