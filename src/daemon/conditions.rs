//! How the machine is, where a unit's `Condition…=` and `Assert…=` ask: systemd.unit(5).
//!
//! Owns the looks, each a system call or two. What follows from them is the engine's.
//!
//! Each look blocks the loop for as long as the kernel takes: a path on a network mount whose server is gone holds
//! everything up, as a unit file or a log there would. Such paths do not belong in a condition.

use std::fs;
use std::path::Path;

use crate::sys::users;
use crate::unit::{Test, Truth, Unit, glob};

/// The highest number of a system's own user, login.defs(5) `SYS_UID_MAX` as systemd is built with it.
const SYSTEM_UID_MAX: u32 = 999;

/// Which tests of the unit's conditions are true, in their order. What cannot be found out is not true.
pub(super) fn look(unit: Option<&Unit>) -> Vec<Truth> {
    let conditions = unit.map_or(&[][..], |unit| &*unit.conditions);
    let found = conditions.iter().map(|one| is_true(&one.test));
    found.map(Truth::from).collect()
}

fn is_true(test: &Test) -> bool {
    match test {
        Test::PathExists(path) => fs::metadata(path).is_ok(),
        Test::PathIsDirectory(path) => path.is_dir(),
        Test::FileNotEmpty(path) => {
            fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0)
        }
        Test::Environment(wanted) => match wanted.split_once('=') {
            Some((name, value)) => std::env::var_os(name).is_some_and(|found| found == *value),
            None => std::env::var_os(wanted).is_some(),
        },
        Test::User(user) => is_user(user, users::effective_uid()),
        Test::Host(host) => is_host(host),
    }
}

fn is_user(user: &str, uid: u32) -> bool {
    match user {
        "@system" => uid <= SYSTEM_UID_MAX,
        _ => match user.parse::<u32>() {
            Ok(number) => number == uid,
            Err(_) => {
                matches!(users::user_by_name(user), Ok(Some(found)) if found.uid == uid)
            }
        },
    }
}

/// The ids are compared as what they mean: with or without dashes, whatever their case.
fn is_host(wanted: &str) -> bool {
    let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
    if let Some(id) = hexadecimal(wanted) {
        let ids = [
            "/etc/machine-id",
            "/proc/sys/kernel/random/boot_id",
            "/sys/class/dmi/id/product_uuid",
        ];
        if ids
            .iter()
            .any(|path| hexadecimal(read(path).trim()).as_ref() == Some(&id))
        {
            return true;
        }
    }
    let name = read("/proc/sys/kernel/hostname").trim_end().to_lowercase();
    glob::matches(&wanted.to_lowercase(), &name)
}

/// The 32 digits of an id.
fn hexadecimal(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let is_id = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
    is_id.then(|| digits.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn users_go_by_name_and_by_number() {
        assert!(is_user("root", 0) && is_user("0", 0) && is_user("@system", 0));
        assert!(is_user("1000", 1_000) && !is_user("1000", 1_001));
        assert!(!is_user("@system", 1_000) && !is_user("nobody-at-all", 0));
    }

    #[test]
    fn a_host_goes_by_its_name_and_by_its_ids() {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert!(is_host(&name.trim_end().to_uppercase()) && is_host("*"));
        assert!(!is_host("no-such-host-*"));
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert!(is_host(boot.trim()) && is_host(&boot.trim().replace('-', "")));
        assert!(!is_host("00000000000000000000000000000000"));
    }

    #[test]
    fn files_are_looked_at_through_links() {
        let path = |test: fn(std::path::PathBuf) -> Test, at: &str| is_true(&test(at.into()));
        assert!(path(Test::PathExists, "/proc/self") && !path(Test::PathExists, "/no/such"));
        assert!(path(Test::PathIsDirectory, "/proc/self/cwd"));
        assert!(!path(Test::PathIsDirectory, "/etc/passwd"));
        assert!(path(Test::FileNotEmpty, "/etc/passwd") && !path(Test::FileNotEmpty, "/etc"));
        assert!(!path(Test::FileNotEmpty, "/dev/null"));
        assert!(!is_true(&Test::Environment("NO_SUCH=1".to_owned())));
    }
}
