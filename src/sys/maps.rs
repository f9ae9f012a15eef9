//! The process's own map of its memory, proc_pid_maps(5).

use std::fs;
use std::ops::Range;

/// What of our memory can be had again, or is not needed.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The mappings of this program's file and its libraries' that nobody can have written to: code and constants, not
    /// what was relocated.
    pub(super) code: Vec<Range<u64>>,
    /// The stack of the process's first thread.
    pub(super) stack: Option<Range<u64>>,
}

/// Reads the map; nothing where there is no `/proc`.
pub(super) fn own() -> Own {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let stack = maps.lines().find(|line| line.ends_with("[stack]"));
    Own {
        code: maps.lines().filter_map(code_range).collect(),
        stack: stack.and_then(|line| parse_range(line.split(' ').next()?)),
    }
}

/// The range of one line of the map if it is code of a file, or constants from the file's beginning.
fn code_range(line: &str) -> Option<Range<u64>> {
    let mut words = line.splitn(6, ' ');
    let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
    // Constants lie with the file's header in its first segment. What the loader has relocated is read-only, too, but
    // lies behind.
    let unwritten =
        rights == "r-xp" || (rights == "r--p" && offset.bytes().all(|digit| digit == b'0'));
    if !unwritten || !words.nth(2)?.trim_start().starts_with('/') {
        return None;
    }
    parse_range(range)
}

fn parse_range(range: &str) -> Option<Range<u64>> {
    let (start, end) = range.split_once('-')?;
    Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::code_range;

    #[test]
    fn only_code_of_the_program_counts() {
        let line = "55d0-55f0 r-xp 00001000 fe:00 325843                     /usr/bin/x";
        assert_eq!(code_range(line), Some(0x55d0..0x55f0));
        assert_eq!(code_range(&line.replace("/usr/bin/x", "[vdso]")), None);
        assert_eq!(code_range(&line.replace("r-xp", "rw-p")), None);
        assert_eq!(code_range(&line.replace("r-xp", "r--p")), None);
        let first = line.replace("r-xp 00001000", "r--p 00000000");
        assert_eq!(code_range(&first), Some(0x55d0..0x55f0));
        assert_eq!(code_range(""), None);
    }

    #[test]
    fn this_program_has_code_and_a_stack() {
        let own = super::own();
        assert!(!own.code.is_empty() && own.stack.is_some());
    }
}
