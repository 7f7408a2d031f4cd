//! Wall-clock time as seconds since 1970, UTC dates made from it, and the machine's name.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 86_400;
/// Days from 1 March of the year 0 to 1 January 1970 in the proleptic Gregorian calendar.
const DAYS_BEFORE_1970: u64 = 719_468;
/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;

/// Seconds since the beginning of 1970, UTC.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// `YYYYMMDD_HHMMSS` in UTC.
pub(super) fn compact_utc(unix_seconds: u64) -> String {
    let (year, month, day) = date_of(unix_seconds / SECONDS_PER_DAY);
    let second = unix_seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
}

/// Year, month and day of a number of days after 1 January 1970.
///
/// Years are counted from March, so that the leap day is a year's last and month lengths follow one straight line.
fn date_of(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    // Without the leap days of every 4th, 100th and 400th year the rest has only years of 365 days.
    let leap_days = day_of_era / 1460 + day_of_era / (DAYS_PER_ERA - 1) - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The machine's name, fit for a file name; `localhost` if it has none.
pub(super) fn host_name() -> String {
    let named = fs::read_to_string("/etc/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let fit = |letter: &char| letter.is_ascii_alphanumeric() || "-_".contains(*letter);
    let name: String = named.unwrap_or_default().trim().chars().filter(fit).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::{SECONDS_PER_DAY, compact_utc, date_of};

    #[test]
    fn dates_of_known_seconds() {
        assert_eq!(compact_utc(0), "19700101_000000");
        assert_eq!(compact_utc(951_782_400), "20000229_000000");
        assert_eq!(compact_utc(1_000_000_000), "20010909_014640");
        assert_eq!(compact_utc(1_735_689_599), "20241231_235959");
        assert_eq!(compact_utc(4_107_542_400), "21000301_000000");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000_000 / SECONDS_PER_DAY * 100 {
            assert_eq!(date_of(days), (year, month, day));
            let length = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
