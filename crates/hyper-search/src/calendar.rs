//! Times as ISO 8601 writes them.

const DAY: i64 = 86_400;

/// Seconds since the beginning of 1970 as `2026-11-27T02:28:19.250000+00:00`.
pub(crate) fn to_iso(seconds: f64) -> String {
    // Times that no calendar has are the nearest that it has.
    let micros = (seconds.clamp(0.0, 253_402_300_799.0) * 1e6).round() as i64;
    let (whole, micro) = (micros / 1_000_000, micros % 1_000_000);
    let (year, month, day) = date_of(whole / DAY);
    let (hour, minute, second) = (whole % DAY / 3600, whole % 3600 / 60, whole % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}+00:00")
}

/// Seconds since the beginning of 1970 of such a time; without an offset it is taken as UTC.
pub(crate) fn from_iso(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (time, offset) = match time.find(['+', '-', 'Z']) {
        Some(place) => time.split_at_checked(place)?,
        None => (time, ""),
    };
    let seconds = (days_of(year, month, day) * DAY) as f64 + clock(time)?;
    Some(seconds - offset_of(offset)?)
}

fn offset_of(offset: &str) -> Option<f64> {
    match offset.split_at_checked(1) {
        None => Some(0.0),
        Some(("Z", "")) => Some(0.0),
        Some(("-", time)) => Some(-clock(time)?),
        Some((_, time)) => clock(time),
    }
}

/// `hours:minutes[:seconds]` in seconds.
fn clock(time: &str) -> Option<f64> {
    let parts: Vec<f64> = time.splitn(3, ':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let is_inside = parts.len() >= 2 && parts.iter().all(|part| (0.0..61.0).contains(part));
    is_inside.then(|| parts.iter().zip([3600.0, 60.0, 1.0]).map(|(part, unit)| part * unit).sum())
}

/// Days since the beginning of 1970. Years begin in March here, so that leap days are their last.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 306 + 5) / 10 + day
        - 719_469
}

fn date_of(days: i64) -> (i64, i64, i64) {
    // 400 years have 146 097 days, so that this is at most a year off.
    let near = 1970 + days * 400 / 146_097;
    let year = (near - 1..=near + 1).rev().find(|year| days_of(*year, 1, 1) <= days).unwrap_or(near);
    let month = (1..=12).rev().find(|month| days_of(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days - days_of(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_to_iso_and_back() {
        for (seconds, text) in [
            (0.0, "1970-01-01T00:00:00.000000+00:00"),
            (951_782_400.5, "2000-02-29T00:00:00.500000+00:00"),
            (1_795_746_499.25, "2026-11-27T02:28:19.250000+00:00"),
            (4_107_542_399.0, "2100-02-28T23:59:59.000000+00:00"),
            (4_107_542_400.0, "2100-03-01T00:00:00.000000+00:00"),
            (253_402_300_799.0, "9999-12-31T23:59:59.000000+00:00"),
        ] {
            assert_eq!(to_iso(seconds), text);
            assert_eq!(from_iso(text), Some(seconds));
        }
        assert_eq!(from_iso("1970-01-01T02:00:00+02:00"), Some(0.0));
        assert_eq!(from_iso("1970-01-01 00:30"), Some(1800.0));
        assert_eq!(from_iso("1970-01-01T00:00:00-01:30"), Some(5400.0));
        for text in [
            "",
            "1970",
            "1970-13-01T00:00:00",
            "1970-01-01T99:00:00",
            "1970-01-01T00",
            "x-y-zT0:0",
            "1970-01-01T00:00:00+é",
        ] {
            assert_eq!(from_iso(text), None, "{text}");
        }
    }
}
