//! The end of the machine, for who is its first process: when that ends by itself, the kernel panics.
//!
//! Owns how it is switched off. That nothing runs any more that should have been stopped is the caller's to see to.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::path::Path;
use std::ptr;

use nix::libc;

use super::process::Pid;

/// The PID namespace of the machine itself, namespaces(7); the kernel gives it this number at every boot.
const OWN_NAMESPACE: &str = "pid:[4026531836]";

/// Whether PIDs are the machine's own here, not a container's. Where nobody can tell, they are.
#[must_use]
pub fn is_ours() -> bool {
    fs::read_link("/proc/self/ns/pid")
        .map_or(true, |namespace| namespace == Path::new(OWN_NAMESPACE))
}

/// Whether this is the machine's first process, not a container's.
#[must_use]
pub fn are_we_first() -> bool {
    Pid::current().as_raw() == 1 && is_ours()
}

/// Writes everything to the disks, has file systems take no more writes where nobody has a file open for writing, and
/// switches the machine off.
///
/// # Errors
/// `EPERM`: we may not.
pub fn switch_off() -> io::Result<Infallible> {
    for folder in mounted() {
        let (none, flags) = (ptr::null(), libc::MS_REMOUNT | libc::MS_RDONLY);
        // SAFETY: the folder is a C string that lives through the call; a remount needs nothing else.
        // One that is busy stays as it is: what was written to it is written out below.
        unsafe { libc::mount(none, folder.as_ptr(), none, flags, ptr::null()) };
    }
    // SAFETY: sync has no arguments and cannot fail.
    unsafe { libc::sync() };
    // SAFETY: the command is a constant that the library knows.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
    Err(io::Error::last_os_error())
}

/// Where file systems are mounted that lie on a disk, the last one first, proc_pid_mounts(5).
fn mounted() -> Vec<CString> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut folders: Vec<CString> = table.lines().filter_map(on_a_disk).collect();
    folders.reverse();
    folders
}

fn on_a_disk(line: &str) -> Option<CString> {
    let mut words = line.split(' ');
    let (device, folder) = (words.next()?, words.next()?);
    if !device.starts_with("/dev/") {
        return None;
    }
    CString::new(unescaped(folder)).ok()
}

/// The table writes a blank, a tab, a line end and a backslash as three octal digits after a backslash.
fn unescaped(folder: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = folder.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        let octal = others
            .get(..3)
            .and_then(|digits| str::from_utf8(digits).ok());
        let code = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(|_| *first == b'\\') {
            Some(code) => {
                bytes.push(code);
                rest = others.get(3..).unwrap_or_default();
            }
            None => bytes.push(*first),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn only_what_lies_on_a_disk_is_closed() {
        assert_eq!(on_a_disk("proc /proc proc rw 0 0"), None);
        let folder = on_a_disk(r"/dev/vda /my\040disk\134 ext4 rw,relatime 0 0").unwrap();
        assert_eq!(folder.to_str().unwrap(), r"/my disk\");
        assert_eq!(on_a_disk("/dev/vda"), None);
        assert_eq!(unescaped(r"a\0"), br"a\0");
    }
}
