//! What a service says of itself: sd_notify(3) datagrams, `KEY=VALUE` a line.
//!
//! Owns the form only. Who may say what, and what follows from it, is for those who receive it.

use crate::unit::NotifyAccess;

use super::words::Word;

/// The longest datagram that is read, in bytes: systemd's limit.
pub const DATAGRAM_MAX: usize = 4096;
/// Assignments taken from one datagram, at most.
pub const ASSIGNMENTS_MAX: usize = 64;

/// One line that we understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// `READY=1`: the start, or a reload, is done.
    Ready,
    /// `RELOADING=1`; a [`Assignment::MonotonicUsec`] goes with it.
    Reloading,
    /// `STOPPING=1`: the service goes down by itself.
    Stopping,
    /// When the reload began, in microseconds of the monotonic clock.
    MonotonicUsec(u64),
    /// One line for the reader, without control characters.
    Status(String),
    /// An errno, for the reader.
    Errno(u32),
    /// The exit status that the service means to have, for the reader.
    ExitStatus(u8),
    /// The new main process.
    MainPid(u32),
    /// `WATCHDOG=1`: still alive.
    WatchdogAlive,
    /// `WATCHDOG=trigger`: as if the watchdog's time had passed.
    WatchdogTrigger,
    /// The new watchdog interval, in microseconds.
    WatchdogUsec(u64),
    /// The present time limit ends so many microseconds from now at the earliest.
    ExtendTimeoutUsec(u64),
    /// `NOTIFYACCESS=`: who may notify from now on.
    Access(NotifyAccess),
    /// `BARRIER=1`: the sender waits until the descriptor that came along is closed.
    Barrier,
    /// `FDSTORE=1`: keep the descriptors that came along.
    StoreDescriptors,
    /// `FDSTOREREMOVE=1`: close those of this name.
    RemoveDescriptors,
    /// `FDNAME=`: the descriptors' name.
    DescriptorName(String),
    /// `FDPOLL=0`: keep them even when they hang up.
    KeepHungUp,
}

/// Reads a datagram. Lines that are not understood are left out, as sd_notify(3) has it; a datagram with a NUL inside,
/// one that is not UTF-8 or one longer than [`DATAGRAM_MAX`] says nothing at all.
#[must_use]
pub fn parse_notify(datagram: &[u8]) -> Vec<Assignment> {
    if datagram.len() > DATAGRAM_MAX {
        return Vec::new();
    }
    let datagram = datagram.strip_suffix(b"\0").unwrap_or(datagram);
    let Ok(text) = std::str::from_utf8(datagram) else {
        return Vec::new();
    };
    if text.contains('\0') {
        return Vec::new();
    }
    text.split('\n')
        .filter_map(assignment)
        .take(ASSIGNMENTS_MAX)
        .collect()
}

fn assignment(line: &str) -> Option<Assignment> {
    match line.split_once('=')? {
        ("READY", "1") => Some(Assignment::Ready),
        ("RELOADING", "1") => Some(Assignment::Reloading),
        ("STOPPING", "1") => Some(Assignment::Stopping),
        ("MONOTONIC_USEC", value) => number(value).map(Assignment::MonotonicUsec),
        ("STATUS", value) => {
            let plain = value.chars().filter(|c| !c.is_control()).collect();
            Some(Assignment::Status(plain))
        }
        ("ERRNO", value) => number(value).map(Assignment::Errno),
        ("EXIT_STATUS", value) => number(value).map(Assignment::ExitStatus),
        ("MAINPID", value) => number(value)
            .filter(|pid| *pid > 0)
            .map(Assignment::MainPid),
        ("WATCHDOG", "1") => Some(Assignment::WatchdogAlive),
        ("WATCHDOG", "trigger") => Some(Assignment::WatchdogTrigger),
        ("WATCHDOG_USEC", value) => number(value).map(Assignment::WatchdogUsec),
        ("EXTEND_TIMEOUT_USEC", value) => number(value).map(Assignment::ExtendTimeoutUsec),
        ("NOTIFYACCESS", value) => NotifyAccess::find(value).map(Assignment::Access),
        ("BARRIER", "1") => Some(Assignment::Barrier),
        ("FDSTORE", "1") => Some(Assignment::StoreDescriptors),
        ("FDSTOREREMOVE", "1") => Some(Assignment::RemoveDescriptors),
        ("FDNAME", value) => {
            is_descriptor_name(value).then(|| Assignment::DescriptorName(value.to_owned()))
        }
        ("FDPOLL", "0") => Some(Assignment::KeepHungUp),
        (_key, _value) => None,
    }
}

/// Decimal digits and nothing else: `parse` alone would take a plus sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// At most 255 printable ASCII characters without a colon, sd_pid_notify_with_fds(3).
fn is_descriptor_name(name: &str) -> bool {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
    name.len() <= 255 && name.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_line_is_understood() {
        use Assignment::{ExtendTimeoutUsec, MainPid, MonotonicUsec, WatchdogUsec};
        let datagram = b"READY=1\nRELOADING=1\nSTOPPING=1\nMONOTONIC_USEC=18446744073709551615\n\
            STATUS=50 % = half\x1b\nERRNO=2\nEXIT_STATUS=255\nMAINPID=4294967295\nWATCHDOG=1\n\
            WATCHDOG=trigger\nWATCHDOG_USEC=0\nEXTEND_TIMEOUT_USEC=5\nNOTIFYACCESS=exec\nBARRIER=1\n\
            FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=a b\nFDPOLL=0\n";
        let expected = [
            Assignment::Ready,
            Assignment::Reloading,
            Assignment::Stopping,
            MonotonicUsec(u64::MAX),
            Assignment::Status("50 % = half".to_owned()),
            Assignment::Errno(2),
            Assignment::ExitStatus(255),
            MainPid(u32::MAX),
            Assignment::WatchdogAlive,
            Assignment::WatchdogTrigger,
            WatchdogUsec(0),
            ExtendTimeoutUsec(5),
            Assignment::Access(NotifyAccess::Exec),
            Assignment::Barrier,
            Assignment::StoreDescriptors,
            Assignment::RemoveDescriptors,
            Assignment::DescriptorName("a b".to_owned()),
            Assignment::KeepHungUp,
        ];
        assert_eq!(parse_notify(datagram), expected);
    }

    #[test]
    fn other_lines_are_left_out() {
        let datagram =
            b"READY=0\nX_MINE=1\nREADY\n=\n\nMAINPID=0\nMAINPID=+5\nMAINPID=-1\nERRNO=\n\
            EXIT_STATUS=256\nFDNAME=a:b\nNOTIFYACCESS=me\nREADY=1\0";
        assert_eq!(parse_notify(datagram), [Assignment::Ready]);
    }

    #[test]
    fn hostile_datagrams_say_nothing_or_little() {
        assert_eq!(parse_notify(b""), []);
        assert_eq!(parse_notify(b"READY=1\n\xff"), []);
        assert_eq!(parse_notify(b"READY=1\0\nREADY=1"), []);
        assert_eq!(parse_notify(&[b'a'; DATAGRAM_MAX + 1]), []);
        let many = b"READY=1\n".repeat(DATAGRAM_MAX / 8);
        assert_eq!(parse_notify(&many).len(), ASSIGNMENTS_MAX);
    }
}
