//! Days and months of the proleptic Gregorian calendar, in UTC, for the whole range of times a
//! store takes.
//!
//! The algorithms are Howard Hinnant's `days_from_civil` and `civil_from_days`
//! (<https://howardhinnant.github.io/date_algorithms.html>).

use telemetry::Micros;

pub(super) const DAY: Micros = 86_400_000_000;

/// The first instants of the years 1 and 10000: what both databases, ISO 8601 with four digits and
/// people can write down.
pub(super) const TIME_MIN: Micros = -62_135_596_800_000_000;
pub(super) const TIME_END: Micros = 253_402_300_800_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
}

impl Date {
    pub(super) fn at(time: Micros) -> Date {
        let days = time.div_euclid(DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Date {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }

    /// The first instant of the day.
    pub(super) fn start(self) -> Micros {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era - 719_468) * DAY
    }

    pub(super) fn first_of_month(self) -> Date {
        Date { day: 1, ..self }
    }

    pub(super) fn first_of_next_month(self) -> Date {
        match self.month {
            12 => Date {
                year: self.year + 1,
                month: 1,
                day: 1,
            },
            month => Date {
                month: month + 1,
                day: 1,
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_an_independent_calendar() {
        // Jiff ends a little earlier than we do, because it must be able to add any offset.
        for day in (TIME_MIN / DAY)..(TIME_END / DAY - 2) {
            let time = day * DAY;
            let timestamp = jiff::Timestamp::from_microsecond(time).expect("within its range");
            let expected = jiff::tz::Offset::UTC.to_datetime(timestamp).date();
            let date = Date::at(time + DAY - 1);
            assert_eq!(
                (date.year, date.month, date.day),
                (
                    i64::from(expected.year()),
                    i64::from(expected.month()),
                    i64::from(expected.day())
                )
            );
            assert_eq!(date.start(), time);
        }
    }

    #[test]
    fn the_bounds_are_the_first_instants_of_their_years() {
        let first = |year| Date {
            year,
            month: 1,
            day: 1,
        };
        assert_eq!(first(1).start(), TIME_MIN);
        assert_eq!(first(10_000).start(), TIME_END);
        let december = Date::at(TIME_END - 1);
        assert_eq!(december.first_of_next_month(), first(10_000));
        assert_eq!(Date::at(0).first_of_month(), first(1970));
    }
}
