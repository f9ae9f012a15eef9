//! Sizes in bytes, base 1024, as systemd reads them.
//!
//! Owns reading and writing a size; a percentage of memory is a form of its own in `form.rs`.

const SUFFIXES: [(char, u32); 6] = [
    ('K', 10),
    ('M', 20),
    ('G', 30),
    ('T', 40),
    ('P', 50),
    ('E', 60),
];

/// Digits behind the dot that count; further ones are below a byte in any unit.
const FRACTION_DIGITS: usize = 18;

/// Reads `4096`, `512M`, `1.5G` or `10B`: bytes, or with K, M, G, T, P, E powers of 1024. `None` where it is no
/// size or does not fit into 64 bits.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let suffix = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(*suffix));
    let (number, shift) = match suffix {
        Some((suffix, shift)) => (text.strip_suffix(*suffix)?, *shift),
        None => (text.strip_suffix('B').unwrap_or(text), 0),
    };
    let number = number.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let unit = 1_u128 << shift;
    let mut total = u128::from(whole.parse::<u64>().ok()?) * unit;
    if !fraction.is_empty() {
        let kept = &fraction[..fraction.len().min(FRACTION_DIGITS)];
        let (mut parts, mut of) = (0_u128, 1_u128);
        for digit in kept.bytes() {
            parts = parts * 10 + u128::from(digit - b'0');
            of *= 10;
        }
        total += unit * parts / of;
    }
    u64::try_from(total).ok()
}

/// The shortest form that reads back as the same size: `10M` for 10485760.
#[must_use]
pub fn show(bytes: u64) -> String {
    let whole = SUFFIXES
        .iter()
        .rev()
        .find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift);
    match whole {
        Some((suffix, shift)) => format!("{}{suffix}", bytes >> shift),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_base_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("10B", 10),
            ("1K", 1024),
            ("512M", 512 << 20),
            ("1.5G", 3 << 29),
            ("2 T", 2 << 40),
            ("15E", 15 << 60),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for bad in [
            "",
            "M",
            "-1",
            "1.5.5",
            "1X",
            "1KiB",
            "16E",
            ".5G",
            "1m",
            "99999999999999999999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        assert_eq!(show(10 << 20), "10M");
        assert_eq!(show(4097), "4097");
        for bytes in [0, 1, 1024, 4096, 10 << 20, u64::MAX, 1 << 63, 3 << 29] {
            assert_eq!(parse(&show(bytes)), Some(bytes));
        }
    }
}
