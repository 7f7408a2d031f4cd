//! Numbers as people read them: without `-0`, without `0.30000000000000004`.

/// Values from here on count as infinite; nothing that is measured is as large, and sums of two stay finite.
pub(crate) const LARGEST: f64 = 1e100;
/// Positive values below this are too small for a logarithmic axis.
pub(crate) const SMALLEST: f64 = 1e-100;

pub(crate) fn is_usable(value: f64) -> bool {
    value.abs() < LARGEST
}

/// A value with a fixed number of decimals and a true minus sign.
pub(crate) fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|letter| matches!(letter, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// A value of which neighbours are `distance` apart, with as many digits as tell it from them.
pub(crate) fn tick(value: f64, distance: f64) -> String {
    if value.abs() < distance * 1e-6 {
        return "0".to_owned();
    }
    let (exponent, fine) = (exponent(value), exponent(distance));
    if (-4..6).contains(&exponent) && fine >= -6 {
        return fixed(value, usize::try_from(-fine).unwrap_or(0));
    }
    let digits = usize::try_from(exponent - fine).unwrap_or(0).min(12);
    scientific(value, digits)
}

/// A value with about three digits that count.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    match exponent(value) {
        exponent @ -4..3 => without_zeros(&fixed(value, usize::try_from(2 - exponent).unwrap_or(0))),
        3..6 => fixed(value, 0),
        _ => scientific(value, 2),
    }
}

/// 10 to a power, or a small multiple of it, as on a logarithmic axis.
pub(crate) fn power(factor: u32, exponent: i32) -> String {
    match factor {
        1 => format!("10{}", superscript(exponent)),
        _ => format!("{factor}×10{}", superscript(exponent)),
    }
}

/// A value as a machine reads it back, empty if it is no number.
pub(crate) fn exact(value: f64) -> String {
    let magnitude = value.abs();
    match value {
        _ if !value.is_finite() => String::new(),
        0.0 => "0".to_owned(),
        _ if (1e-5..1e15).contains(&magnitude) => value.to_string(),
        _ => format!("{value:e}"),
    }
}

fn scientific(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = without_zeros(mantissa).replace('-', "−");
    format!("{mantissa}×10{}", superscript(exponent.parse().unwrap_or(0)))
}

/// The power of ten of the first digit. A hair is added, for 0.1 × 3 is below 0.3.
fn exponent(value: f64) -> i32 {
    (value.abs() * (1.0 + 1e-9)).log10().floor() as i32
}

fn without_zeros(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

fn superscript(exponent: i32) -> String {
    let raised = |letter| match letter {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(u32::from('⁰') + u32::from(digit) - u32::from('0')).unwrap_or(digit),
    };
    exponent.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_the_digits_they_need() {
        assert_eq!(tick(0.1 + 0.2, 0.1), "0.3");
        assert_eq!(tick(1e-17, 0.1), "0");
        assert_eq!(tick(-0.0, 0.25), "0");
        assert_eq!(tick(-0.5, 0.5), "−0.5");
        assert_eq!(tick(1.0, 0.05), "1.00");
        assert_eq!(tick(2e6, 5e5), "2×10⁶");
        assert_eq!(tick(2.5e-7, 5e-8), "2.5×10⁻⁷");
    }

    #[test]
    fn short_and_exact_values_have_no_noise() {
        assert_eq!(short(0.1 + 0.2), "0.3");
        assert_eq!(short(-1234.4), "−1234");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(exact(-0.0), "0");
        assert_eq!(exact(f64::NAN), "");
        assert_eq!(exact(1e300), "1e300");
        assert_eq!(power(2, -4), "2×10⁻⁴");
    }
}
