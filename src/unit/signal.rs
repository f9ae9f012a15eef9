//! Signals by number and name, signal(7).
//!
//! Owns the names and their reading; sending a signal is `sys`.

use std::fmt;

/// What C libraries leave to programs as the first real-time signal (glibc keeps 32 and 33).
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

/// The names of signals 1 to 31 on Linux, without `SIG`, in order.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Second names that are still in use.
const OTHER_NAMES: [(&str, u8); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

/// A signal number, 1 to 64 (the kernel's range).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

impl Signal {
    pub const HUP: Self = Self(1);
    pub const INT: Self = Self(2);
    pub const ABRT: Self = Self(6);
    pub const QUIT: Self = Self(3);
    pub const KILL: Self = Self(9);
    pub const USR1: Self = Self(10);
    pub const USR2: Self = Self(12);
    pub const PIPE: Self = Self(13);
    pub const TERM: Self = Self(15);
    pub const CHLD: Self = Self(17);
    pub const CONT: Self = Self(18);

    /// The highest number.
    pub const MOST: u8 = RTMAX;

    /// `None` outside 1 to 64.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|n| (1..=RTMAX).contains(n))
            .map(Self)
    }

    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// Reads `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` or `SIGRTMAX-1`, in capitals or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Self::from_number(text.parse().ok()?);
        }
        Self::from_name(text)
    }

    /// Reads a name only, not a number: where a number means something else, as in a list of exit statuses.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(offset) = name.strip_prefix("RTMIN") {
            let number = RTMIN.checked_add(real_time_offset(offset, '+')?)?;
            return (number <= RTMAX).then_some(Self(number));
        }
        if let Some(offset) = name.strip_prefix("RTMAX") {
            let number = RTMAX.checked_sub(real_time_offset(offset, '-')?)?;
            return (number >= RTMIN).then_some(Self(number));
        }
        (1..)
            .zip(NAMES)
            .map(|(number, known)| (known, number))
            .chain(OTHER_NAMES)
            .find(|(known, _)| *known == name)
            .map(|(_, number)| Self(number))
    }
}

/// The number behind `RTMIN+` or `RTMAX-`; nothing at all is 0.
fn real_time_offset(text: &str, sign: char) -> Option<u8> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(sign)?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// `SIGTERM`, `SIGRTMIN+3`; the bare number for the two that have no name.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0).wrapping_sub(1)) {
            Some(name) => write!(f, "SIG{name}"),
            None if self.0 == RTMIN => f.write_str("SIGRTMIN"),
            None if self.0 > RTMIN => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_signal_reads_back() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(Signal::parse(&signal.to_string()), Some(signal));
            assert_eq!(Signal::parse(&number.to_string()), Some(signal));
        }
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(Signal::parse("SIGTERM"), Some(Signal::TERM));
        assert_eq!(Signal::parse("TERM"), Some(Signal::TERM));
        assert_eq!(Signal::parse("sigkill"), Some(Signal::KILL));
        assert_eq!(Signal::parse("SIGRTMIN+3").unwrap().number(), 37);
        assert_eq!(Signal::parse("RTMAX-1").unwrap().number(), 63);
        assert_eq!(Signal::parse("SIGPOLL").unwrap().to_string(), "SIGIO");
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(Signal::parse("SIGRTMIN").unwrap().to_string(), "SIGRTMIN");
        assert_eq!(Signal::parse("34").unwrap().to_string(), "SIGRTMIN");
    }

    #[test]
    fn nonsense_is_no_signal() {
        for bad in [
            "",
            "SIG",
            "0",
            "65",
            "-1",
            "999999999999",
            "SIGFOO",
            "SIGRTMIN+",
            "SIGRTMIN+31",
            "SIGRTMIN++3",
            "SIGRTMIN-1",
            "RTMAX-31",
            "TERM ",
        ] {
            assert_eq!(Signal::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Signal::from_name("15"), None);
    }
}
