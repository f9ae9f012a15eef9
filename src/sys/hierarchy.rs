//! Where our own group of cgroup v2 is seen, from what the kernel tells of us and of what is mounted.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Our own group's path in the v2 hierarchy, from `/proc/self/cgroup`.
pub(super) fn own_group(groups: &[u8]) -> Option<&[u8]> {
    groups
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))
}

/// Where our own group can be seen, from `/proc/self/mountinfo`: a mount may show only a part of the hierarchy.
pub(super) fn own_directory(mounts: &[u8], own: &[u8]) -> Option<PathBuf> {
    let own = Path::new(OsStr::from_bytes(own));
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = unescape(fields.nth(3)?);
        let mount = unescape(fields.next()?);
        // Some optional fields follow, up to a dash.
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        if kind != b"cgroup2" {
            return None;
        }
        let below = own.strip_prefix(&root).ok()?;
        // A group outside of our namespace is written with dots, and is not ours to divide.
        let is_inside = !below.components().any(|part| part.as_os_str() == "..");
        is_inside.then(|| Path::new(&mount).join(below))
    })
}

/// Undoes the octal escapes of mountinfo: `\040` for a space and the like.
fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, following)) = rest.split_first() {
        let code = match rest {
            [b'\\', digits @ ..] => digits.get(..3).and_then(octal),
            _ => None,
        };
        plain.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => rest.get(4..).unwrap_or_default(),
            None => following,
        };
    }
    OsString::from_vec(plain)
}

fn octal(digits: &[u8]) -> Option<u8> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| u8::from_str_radix(text, 8).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_is_found_in_whole_and_partial_mounts() {
        let directory = |mounts: &str, groups: &str| {
            let own = own_group(groups.as_bytes())?;
            own_directory(mounts.as_bytes(), own)
        };
        let hybrid = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        let found = directory(hybrid, "9:name=systemd:/x\n0::/user/a\n");
        assert_eq!(
            found.as_deref(),
            Some(Path::new("/sys/fs/cgroup/unified/user/a"))
        );
        let found = directory(hybrid, "0::/\n");
        assert_eq!(found.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(directory(hybrid, "9:name=systemd:/x\n"), None);
        assert_eq!(directory(hybrid, "0::/../../outside\n"), None);
        let partial = "41 31 0:38 /box /sys/fs/my\\040cgroup rw - cgroup2 cgroup2 rw\n";
        let found = directory(partial, "0::/box/in\n");
        assert_eq!(found.as_deref(), Some(Path::new("/sys/fs/my cgroup/in")));
        assert_eq!(directory(partial, "0::/boxes\n"), None);
        for garbage in [
            "",
            "\n",
            "1 2 3",
            "41 31 0:38 / /sys rw",
            "a b c d e f - \n",
        ] {
            assert_eq!(directory(garbage, "0::/\n"), None);
        }
    }

    #[test]
    fn only_whole_escapes_are_undone() {
        assert_eq!(unescape(b"a\\040b\\134"), "a b\\");
        assert_eq!(unescape(b"\\04"), "\\04");
        assert_eq!(unescape(b"\\999\\"), "\\999\\");
    }
}
