//! Local time: the date and time of day that a moment has where the user is, and back. The zone is that of `TZ` or
//! `/etc/localtime`, tzset(3).

use std::mem::MaybeUninit;

use nix::libc;

/// A date and a time of day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// What the clock on the wall shows at this moment (seconds since 1970 UTC); nothing for a year that cannot be counted.
#[must_use]
pub fn civil(unix: i64) -> Option<Civil> {
    let unix = libc::time_t::from(unix);
    let mut tm = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to values of the right type that live through the call; a `tm` of zeros is valid.
    let tm = unsafe {
        if libc::localtime_r(&raw const unix, tm.as_mut_ptr()).is_null() {
            return None;
        }
        tm.assume_init()
    };
    Some(Civil {
        year: tm.tm_year.checked_add(1900)?,
        month: u8::try_from(tm.tm_mon + 1).ok()?,
        day: u8::try_from(tm.tm_mday).ok()?,
        hour: u8::try_from(tm.tm_hour).ok()?,
        minute: u8::try_from(tm.tm_min).ok()?,
        second: u8::try_from(tm.tm_sec).ok()?,
    })
}

/// The moment at which the clock on the wall shows this; the first where a clock that is set back shows it twice. A
/// day past the end of its month is one of the next month.
#[must_use]
pub fn unix(civil: Civil) -> Option<i64> {
    // SAFETY: a `tm` of zeros is valid; its zone's name is only read by others.
    let mut tm: libc::tm = unsafe { MaybeUninit::zeroed().assume_init() };
    tm.tm_year = civil.year.checked_sub(1900)?;
    tm.tm_mon = i32::from(civil.month) - 1;
    tm.tm_mday = i32::from(civil.day);
    tm.tm_hour = i32::from(civil.hour);
    tm.tm_min = i32::from(civil.minute);
    tm.tm_sec = i32::from(civil.second);
    tm.tm_isdst = -1;
    // What is no moment comes back as -1, as one second before 1970 does; the day of the week tells them apart.
    tm.tm_wday = -1;
    // SAFETY: `tm` is a whole value of ours.
    let unix = unsafe { libc::mktime(&raw mut tm) };
    (tm.tm_wday >= 0).then_some(unix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn there_and_back() {
        for moment in [0, -1, 951_782_400, 1_795_300_813, 4_107_542_400] {
            let shown = civil(moment).unwrap();
            // An hour that is shown twice is the earlier one.
            assert!((0..=7_200).contains(&(moment - unix(shown).unwrap())));
        }
        assert_eq!(civil(i64::MAX), None);
    }

    #[test]
    fn the_day_after_the_last_is_the_first() {
        let of = |month, day| Civil {
            year: 2026,
            month,
            day,
            hour: 12,
            minute: 0,
            second: 0,
        };
        assert_eq!(unix(of(4, 31)), unix(of(5, 1)));
    }
}
