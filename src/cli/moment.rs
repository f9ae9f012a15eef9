//! Moments that a user names: `10:00`, `-5min`, `yesterday`, `2026-11-22 10:00`, systemd.time(7).
//!
//! Owns the words. The zone is that of the user, unless the moment names one.

use super::exit::Failure;
use super::text::clean;
use crate::sys::local::{self, Civil};
use crate::unit::Span;

const HINT: &str = "a moment is `10:00`, `2026-11-22 10:00`, `2026-11-22T10:00:00Z`, `-5min`, `2h ago`, `today`, \
                    `yesterday`, `now` or `@1795300813` (seconds since 1970)";
/// Days of 86,400 seconds from the year 0 to 1970.
const DAYS_TO_1970: i64 = 719_468;

/// Reads the value of `option`; unix milliseconds. A moment before 1970 is 1970.
///
/// # Errors
/// It is no moment: a failure that says how one is written.
pub(super) fn parse(option: &str, text: &str, now_ms: u64) -> Result<u64, Failure> {
    let wrong = |hint: String| {
        let message = format!("{option}: `{}` is no moment", clean(text));
        Failure::usage(message).hint(hint)
    };
    let word = text.trim();
    if Span::parse(word).is_ok_and(|span| span != Span::Infinite)
        && !word.chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        return Err(wrong(format!("`-{word}` or `{word} ago` is that long ago")));
    }
    if word.len() >= 9 && word.chars().all(|c| c.is_ascii_digit()) {
        return Err(wrong(format!("seconds since 1970 are written `@{word}`")));
    }
    let found = relative(word, now_ms).or_else(|| absolute(word, now_ms));
    let unix_ms = found.ok_or_else(|| wrong(HINT.to_owned()))?;
    Ok(u64::try_from(unix_ms).unwrap_or(0))
}

/// `now`, `-5min`, `+5min`, `5min ago`.
fn relative(word: &str, now_ms: u64) -> Option<i64> {
    let now_ms = i64::try_from(now_ms).ok()?;
    if word == "now" {
        return Some(now_ms);
    }
    let length = |text: &str| i64::try_from(Span::parse(text).ok()?.as_millis()?).ok();
    if let Some(span) = word.strip_prefix('-').or_else(|| word.strip_suffix("ago")) {
        return now_ms.checked_sub(length(span)?);
    }
    now_ms.checked_add(length(word.strip_prefix('+')?)?)
}

/// `@…`, `today`, a date, a time of day, or both.
fn absolute(word: &str, now_ms: u64) -> Option<i64> {
    if let Some(seconds) = word.strip_prefix('@') {
        let span = Span::parse(seconds).ok().filter(|_| {
            let is_part = |c: char| c.is_ascii_digit() || c == '.';
            seconds.chars().all(is_part)
        });
        return i64::try_from(span?.as_millis()?).ok();
    }
    let now = local::civil(i64::try_from(now_ms / 1000).ok()?)?;
    if let Some(shift) = day_word(word) {
        // A day can have 23 or 25 hours: from noon to noon it is some 24 hours all the same.
        let noon = Civil {
            hour: 12,
            minute: 0,
            second: 0,
            ..now
        };
        let there = local::civil(local::unix(noon)?.checked_add(shift * 86_400)?)?;
        let midnight = Civil {
            hour: 0,
            minute: 0,
            second: 0,
            ..there
        };
        return milliseconds(local::unix(midnight)?, 0);
    }
    let (date, time) = match word.split_once(['T', ' ']) {
        Some((date, time)) => (Some(date), time.trim_start()),
        None if word.contains(':') => (None, word),
        None => (Some(word), "00:00"),
    };
    let (time, zone) = split_zone(time)?;
    let (year, month, day) = match date {
        Some(date) => parse_date(date)?,
        None => (now.year, now.month, now.day),
    };
    let (hour, minute, second, fraction_ms) = parse_time(time)?;
    let civil = Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    };
    let unix = match zone {
        Zone::Local => local::unix(civil)?,
        Zone::Offset(seconds) => utc(civil) - seconds,
    };
    milliseconds(unix, fraction_ms)
}

fn day_word(word: &str) -> Option<i64> {
    match word {
        "today" => Some(0),
        "yesterday" => Some(-1),
        "tomorrow" => Some(1),
        _ => None,
    }
}

fn milliseconds(unix: i64, fraction_ms: i64) -> Option<i64> {
    unix.checked_mul(1000)?.checked_add(fraction_ms)
}

enum Zone {
    Local,
    /// Seconds east of Greenwich.
    Offset(i64),
}

/// Takes `Z`, `UTC`, `+02:00` or `-0530` off the end.
fn split_zone(time: &str) -> Option<(&str, Zone)> {
    let is_utc = time.strip_suffix(['Z', 'z']).or(time.strip_suffix("UTC"));
    if let Some(time) = is_utc {
        return Some((time.trim_end(), Zone::Offset(0)));
    }
    let Some(at) = time.find(['+', '-']) else {
        return Some((time, Zone::Local));
    };
    let (time, zone) = time.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone = zone.get(1..)?;
    let (hours, minutes) = match (zone.split_once(':'), zone.len()) {
        (Some(parts), _) => parts,
        (None, 4) => (zone.get(..2)?, zone.get(2..)?),
        (None, _) => (zone, "0"),
    };
    let (hours, minutes) = (number(hours, 0, 23)?, number(minutes, 0, 59)?);
    let offset = sign * (hours * 3600 + minutes * 60);
    Some((time.trim_end(), Zone::Offset(offset)))
}

fn parse_date(date: &str) -> Option<(i32, u8, u8)> {
    let mut parts = date.split('-');
    let year = i32::try_from(number(parts.next()?, 1970, 9999)?).ok()?;
    let month = u8::try_from(number(parts.next()?, 1, 12)?).ok()?;
    let day = u8::try_from(number(parts.next()?, 1, days_in(year, month))?).ok()?;
    parts.next().is_none().then_some((year, month, day))
}

/// `10:00`, `10:00:05`, `10:00:05.123`.
fn parse_time(time: &str) -> Option<(u8, u8, u8, i64)> {
    let mut parts = time.split(':');
    let hour = u8::try_from(number(parts.next()?, 0, 23)?).ok()?;
    let minute = u8::try_from(number(parts.next()?, 0, 59)?).ok()?;
    let second = parts.next().unwrap_or("0");
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let second = u8::try_from(number(second, 0, 59)?).ok()?;
    // What is finer than a millisecond is left out.
    let digits = fraction.get(..fraction.len().min(3))?;
    number(
        fraction
            .get(digits.len()..)
            .filter(|rest| !rest.is_empty())
            .unwrap_or("0"),
        0,
        i64::MAX,
    )?;
    let scale = 10_i64.pow(3 - u32::try_from(digits.len()).ok()?);
    let fraction_ms = number(digits, 0, 999)? * scale;
    parts
        .next()
        .is_none()
        .then_some((hour, minute, second, fraction_ms))
}

/// Digits only, within bounds.
fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number)?;
    (least..=most).contains(&number).then_some(number)
}

fn days_in(year: i32, month: u8) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Seconds since 1970 of a date and time in UTC. The year is counted from March on, so that a leap day is its last.
fn utc(civil: Civil) -> i64 {
    let month = i64::from(civil.month);
    let year = i64::from(civil.year) - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(civil.day) - 1;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leaps + day_of_year - DAYS_TO_1970;
    let time = (i64::from(civil.hour) * 60 + i64::from(civil.minute)) * 60;
    days * 86_400 + time + i64::from(civil.second)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// 2026-11-21 22:40:13.007 UTC.
    const NOW_MS: u64 = 1_795_300_813_007;

    fn moment(text: &str) -> u64 {
        parse("--since", text, NOW_MS).unwrap()
    }

    #[test]
    fn what_is_relative_counts_from_now() {
        assert_eq!(moment("now"), NOW_MS);
        assert_eq!(moment("-5min"), NOW_MS - 300_000);
        assert_eq!(moment("5min ago"), NOW_MS - 300_000);
        assert_eq!(moment("1h 30s ago"), NOW_MS - 3_630_000);
        assert_eq!(moment("+2s"), NOW_MS + 2_000);
        assert_eq!(moment("-90"), NOW_MS - 90_000);
        assert_eq!(moment("-600y"), 0);
    }

    #[test]
    fn a_zone_that_is_named_counts() {
        for text in [
            "@1795300813.007",
            "2026-11-21T22:40:13.007Z",
            "2026-11-21 22:40:13.007 UTC",
            "2026-11-22T00:40:13.007+02:00",
            "2026-11-21 17:10:13.0079-0530",
            "2026-11-21T23:40:13.007+01",
        ] {
            assert_eq!(moment(text), NOW_MS, "{text}");
        }
        assert_eq!(moment("2000-02-29T00:00Z"), 951_782_400_000);
        assert_eq!(moment("2100-03-01 00:00 UTC"), 4_107_542_400_000);
    }

    #[test]
    fn without_a_zone_it_is_local() {
        let shown = |unix_ms: u64| local::civil(i64::try_from(unix_ms / 1000).unwrap()).unwrap();
        let (now, ten) = (shown(NOW_MS), shown(moment("10:05")));
        assert_eq!((ten.day, ten.hour, ten.minute), (now.day, 10, 5));
        let (today, yesterday) = (moment("today"), moment("yesterday"));
        assert_eq!((shown(today).hour, shown(yesterday).hour), (0, 0));
        assert!((82_800_000..=90_000_000).contains(&(today - yesterday)));
        assert!(moment("tomorrow") > NOW_MS && today <= NOW_MS);
        let date = shown(moment("2026-04-30 23:59:58"));
        assert_eq!((date.month, date.day, date.second), (4, 30, 58));
        assert_eq!(shown(moment("2026-04-30")).hour, 0);
    }

    #[test]
    fn what_is_no_moment_is_refused_with_a_hint() {
        let hint = |text: &str| parse("--since", text, NOW_MS).unwrap_err().hint.unwrap();
        assert!(hint("5min").contains("`-5min` or `5min ago`"));
        assert!(hint("1795300813").contains("`@1795300813`"));
        for text in [
            "",
            "never",
            "25:00",
            "10:60",
            "10",
            "10:00:00:00",
            "2026-02-29",
            "2026-13-01",
            "-",
            "--5min",
            "@",
            "@-1",
            "@1s",
            "ago",
            "10:00+2x",
            "10:00 +99:00",
            "2026-11-21T",
            "10:00:00.",
            "-infinity",
            "１０:00",
            "+é",
        ] {
            let failure = parse("--until", text, NOW_MS);
            assert!(failure.is_err(), "{text}: {failure:?}");
        }
    }
}
