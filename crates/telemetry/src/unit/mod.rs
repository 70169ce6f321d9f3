//! Named unit conversions, each a scale and an offset: `to = from × scale + offset`.
//!
//! Owns: the factors and where they come from. Invariant: every name is unique and says what it
//! does: `from_to_to`.
//!
//! Sources: BIPM, The International System of Units, 9th edition (temperature, section 2.3.1;
//! litre, hour, bar, tables 8 and 9); NIST SP 811 (2008), appendix B.8, for the units of the yard
//! and pound, which are exact by the agreement of 1959 (1 in = 25.4 mm, 1 lb = 0.453 592 37 kg),
//! and with gₙ = 9.806 65 m/s² for pounds of force.

#[cfg(test)]
mod tests;

/// A linear conversion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    pub name: &'static str,
    /// The unit afterwards, as it is shown.
    pub unit: &'static str,
    pub scale: f64,
    pub offset: f64,
}

impl Conversion {
    pub fn apply(&self, value: f64) -> f64 {
        value * self.scale + self.offset
    }
}

pub fn find(name: &str) -> Option<&'static Conversion> {
    CONVERSIONS
        .iter()
        .find(|conversion| conversion.name == name)
}

/// Pascals in a pound-force per square inch: 0.453 592 37 kg × 9.806 65 m/s² ÷ (0.0254 m)².
const PSI_PA: f64 = 0.453_592_37 * 9.806_65 / (0.0254 * 0.0254);
/// Kilometres in a statute mile: 5,280 ft of 0.3048 m.
const MILE_KM: f64 = 1.609_344;
/// Litres in a US liquid gallon: 231 in³.
const GALLON_L: f64 = 3.785_411_784;
/// Pascals in a conventional millimetre of mercury (NIST SP 811).
const MMHG_PA: f64 = 133.322_4;

const fn scaled(name: &'static str, unit: &'static str, scale: f64) -> Conversion {
    shifted(name, unit, scale, 0.0)
}

const fn shifted(name: &'static str, unit: &'static str, scale: f64, offset: f64) -> Conversion {
    Conversion {
        name,
        unit,
        scale,
        offset,
    }
}

/// All that can be named in a registry.
pub const CONVERSIONS: &[Conversion] = &[
    // t/°C = (t/°F − 32) ÷ 1.8, and T/K = t/°C + 273.15
    shifted("f_to_c", "°C", 1.0 / 1.8, -32.0 / 1.8),
    shifted("c_to_f", "°F", 1.8, 32.0),
    shifted("k_to_c", "°C", 1.0, -273.15),
    shifted("c_to_k", "K", 1.0, 273.15),
    shifted("k_to_f", "°F", 1.8, 32.0 - 273.15 * 1.8),
    shifted("f_to_k", "K", 1.0 / 1.8, 273.15 - 32.0 / 1.8),
    scaled("psi_to_bar", "bar", PSI_PA / 1e5),
    scaled("bar_to_psi", "psi", 1e5 / PSI_PA),
    scaled("psi_to_kpa", "kPa", PSI_PA / 1e3),
    scaled("kpa_to_psi", "psi", 1e3 / PSI_PA),
    scaled("kpa_to_bar", "bar", 0.01),
    scaled("bar_to_kpa", "kPa", 100.0),
    scaled("pa_to_hpa", "hPa", 0.01),
    scaled("pa_to_kpa", "kPa", 0.001),
    scaled("pa_to_bar", "bar", 1e-5),
    scaled("mbar_to_bar", "bar", 0.001),
    scaled("mmhg_to_kpa", "kPa", MMHG_PA / 1e3),
    scaled("atm_to_bar", "bar", 1.013_25),
    scaled("kmh_to_ms", "m/s", 1.0 / 3.6),
    scaled("ms_to_kmh", "km/h", 3.6),
    scaled("mph_to_kmh", "km/h", MILE_KM),
    scaled("kmh_to_mph", "mph", 1.0 / MILE_KM),
    scaled("mph_to_ms", "m/s", MILE_KM / 3.6),
    scaled("knots_to_kmh", "km/h", 1.852),
    scaled("knots_to_ms", "m/s", 1.852 / 3.6),
    scaled("wh_to_kwh", "kWh", 0.001),
    scaled("kwh_to_wh", "Wh", 1_000.0),
    scaled("kwh_to_mwh", "MWh", 0.001),
    scaled("j_to_kwh", "kWh", 1.0 / 3.6e6),
    scaled("kwh_to_mj", "MJ", 3.6),
    scaled("w_to_kw", "kW", 0.001),
    scaled("kw_to_w", "W", 1_000.0),
    // Mechanical horsepower: 550 ft·lbf/s.
    scaled("hp_to_kw", "kW", 0.745_699_871_582_270_2),
    scaled("mv_to_v", "V", 0.001),
    scaled("v_to_mv", "mV", 1_000.0),
    scaled("ma_to_a", "A", 0.001),
    scaled("a_to_ma", "mA", 1_000.0),
    scaled("in_to_mm", "mm", 25.4),
    scaled("mm_to_in", "in", 1.0 / 25.4),
    scaled("ft_to_m", "m", 0.3048),
    scaled("m_to_ft", "ft", 1.0 / 0.3048),
    scaled("mi_to_km", "km", MILE_KM),
    scaled("km_to_mi", "mi", 1.0 / MILE_KM),
    scaled("mm_to_m", "m", 0.001),
    scaled("cm_to_m", "m", 0.01),
    scaled("m_to_km", "km", 0.001),
    // Vibration velocity is measured in either.
    scaled("ips_to_mms", "mm/s", 25.4),
    scaled("mms_to_ips", "in/s", 1.0 / 25.4),
    scaled("g_to_ms2", "m/s²", 9.806_65),
    scaled("ms2_to_g", "g", 1.0 / 9.806_65),
    scaled("gal_to_l", "L", GALLON_L),
    scaled("l_to_gal", "gal", 1.0 / GALLON_L),
    scaled("gpm_to_lpm", "L/min", GALLON_L),
    scaled("lpm_to_gpm", "gal/min", 1.0 / GALLON_L),
    scaled("lpm_to_m3h", "m³/h", 0.06),
    scaled("l_to_m3", "m³", 0.001),
    scaled("m3_to_l", "L", 1_000.0),
    scaled("lb_to_kg", "kg", 0.453_592_37),
    scaled("kg_to_lb", "lb", 1.0 / 0.453_592_37),
    scaled("g_to_kg", "kg", 0.001),
    scaled("ppm_to_percent", "%", 1e-4),
    scaled("percent_to_ppm", "ppm", 1e4),
    scaled("ppb_to_ppm", "ppm", 0.001),
    scaled("ratio_to_percent", "%", 100.0),
    scaled("percent_to_ratio", "", 0.01),
    scaled("rpm_to_hz", "Hz", 1.0 / 60.0),
    scaled("hz_to_rpm", "rpm", 60.0),
    scaled("deg_to_rad", "rad", std::f64::consts::PI / 180.0),
    scaled("rad_to_deg", "°", 180.0 / std::f64::consts::PI),
    scaled("s_to_h", "h", 1.0 / 3_600.0),
    scaled("min_to_h", "h", 1.0 / 60.0),
    scaled("millis_to_s", "s", 0.001),
    scaled("s_to_millis", "ms", 1_000.0),
];
