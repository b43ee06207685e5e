//! Dates of the proleptic Gregorian calendar.

/// Year, month, day and minute of the day, of a number of minutes since 1970-01-01: Howard Hinnant,
/// "chrono-compatible low-level date algorithms", `civil_from_days`.
pub(super) fn civil(minutes: u64) -> (u64, u64, u64, u64) {
    let days = minutes / 1_440 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day, minutes % 1_440)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1, 0));
        // `date -u -d '2000-02-29 23:59' +%s`, by 60
        assert_eq!(civil(951_868_740 / 60), (2000, 2, 29, 1_439));
        assert_eq!(civil(951_868_800 / 60), (2000, 3, 1, 0));
        // `date -u -d '2026-12-31 23:55' +%s`, by 60
        assert_eq!(civil(1_798_761_300 / 60), (2026, 12, 31, 1_435));
        assert_eq!(civil(1_798_761_600 / 60), (2027, 1, 1, 0));
    }
}
