//! Values and numbers as markup. All that comes from files passes here, or through `charts::escaped`, before it stands in a page.

/// A JSON value as it may stand in a `script` element: no text of it can end the element or begin a comment.
pub(super) fn embedded(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A number with four digits that count; very small and very large ones by powers of ten.
pub(super) fn shown(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞".into() } else { "−∞".into() };
    }
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.3e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", without_zeros(digits));
    }
    if value.fract() == 0.0 {
        return format!("{value}");
    }
    let digits = (3 - size.log10().floor() as i32).clamp(1, 6) as usize;
    without_zeros(&format!("{value:.digits$}")).to_owned()
}

/// A stretch of time in words.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{} s", shown((seconds * 10.0).round() / 10.0)),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Fills the places `{{name}}` of a page. What is filled in is not looked at again.
pub(super) fn filled(page: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        filled.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = behind;
    }
    filled + rest
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let value = serde_json::json!({"</script>": "<!--<script>\u{2028}"});
        let text = embedded(&value);
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn numbers_keep_four_digits() {
        let told = [0.692_831, 5e-5, 12.0, -1234.5678, 0.02, 1e7, f64::NAN, f64::NEG_INFINITY, 0.0, 99999.96, 1.0004]
            .map(shown);
        assert_eq!(told, ["0.6928", "5e-5", "12", "-1234.6", "0.02", "1e7", "NaN", "−∞", "0", "100000", "1"]);
        assert_eq!([0.4, 61.0, 7322.0].map(duration), ["0.4 s", "1 min 1 s", "2 h 2 min"]);
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        assert_eq!(filled("<a>{{one}}</a>{{two}}{{", &[("one", "{{two}}"), ("two", "2")]), "<a>{{two}}</a>2{{");
    }
}
