//! What the machine has and what the process took.

/// Bytes of memory that can be used without swapping; `None` where the system does not tell.
pub fn available_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let available = kilobytes(&meminfo, "MemAvailable:")?;
    Some(match cgroup_headroom() {
        Some(headroom) => available.min(headroom),
        None => available,
    })
}

/// Largest resident memory of this process so far in bytes; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    std::fs::read_to_string("/proc/self/status").ok().and_then(|status| kilobytes(&status, "VmHWM:")).unwrap_or(0)
}

fn kilobytes(table: &str, key: &str) -> Option<u64> {
    let line = table.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// A container may be allowed less than the machine has.
fn cgroup_headroom() -> Option<u64> {
    let read = |file: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    Some(limit.saturating_sub(used))
}

/// `1.5 GiB`, `320 MiB`: sizes for people.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Reads `512M`, `4G`, `4GiB`, `1048576`: a size as a user writes it, in bytes (units of 1024).
///
/// # Errors
/// The text is not a number with an optional unit of K, M, G or T.
pub fn parse_bytes(text: &str) -> Result<u64, crate::Error> {
    let wrong = || crate::Error::Invalid(format!("size `{text}`: expected a number with an optional K, M, G or T"));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let power = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    if !number.is_finite() || number < 0.0 {
        return Err(wrong());
    }
    Ok((number * 1024f64.powi(power)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("1048576", 1 << 20), ("512M", 512 << 20), ("4GiB", 4 << 30), ("1.5k", 1536), ("1tb", 1 << 40)]
        {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "M", "4X", "-1G", "1 2"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
