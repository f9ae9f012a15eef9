//! Memory that is not needed any more goes back to the kernel.
//!
//! Owns nothing and decides nothing: when it is worth doing is the loop's.

use nix::libc;

use super::maps;

/// Gives back what the allocator holds free, and unmaps the code of the program and its libraries until it runs
/// again: after a burst (boot, the reading of unit files) most of both will not be needed for days. Code is only
/// mapped, never lost: the next call of a function finds its page in the page cache. malloc_trim(3); madvise(2),
/// `MADV_DONTNEED` on a private file mapping that nobody wrote to.
///
/// Costs some ten microseconds, and some more at the next wakeup. That the kernel refuses is no error: nothing depends
/// on it.
pub fn give_back() {
    // SAFETY: malloc_trim takes a number and touches only the allocator's own free memory.
    unsafe { libc::malloc_trim(0) };
    for range in maps::own_code() {
        let Ok(address) = usize::try_from(range.start) else {
            continue;
        };
        let Ok(length) = usize::try_from(range.end - range.start) else {
            continue;
        };
        let address = std::ptr::with_exposed_provenance_mut::<libc::c_void>(address);
        // SAFETY: the range is a whole mapping of this program's file, private, not writable and never written to
        // (relocated data lies in other mappings), so that every page that goes comes back from the file with the same
        // bytes.
        unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) };
    }
}
