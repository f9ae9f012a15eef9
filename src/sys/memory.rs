//! Memory that is not needed any more goes back to the kernel.
//!
//! Owns nothing and decides nothing: when it is worth doing is the loop's.

use std::ops::Range;

use nix::libc;

use super::maps::{self, Own};

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
    let Own { code, stack } = maps::own();
    for range in code {
        // SAFETY: the range is a whole mapping of this program's file, private, not writable and never written to
        // (relocated data lies in other mappings), so that every page that goes comes back from the file with the same
        // bytes.
        unsafe { drop_pages(&range) };
    }
    if let Some(stack) = stack {
        give_back_stack(stack);
    }
}

/// What the calls from there need at most. Below, nothing of a stack is in use.
const FRAME_MAX: u64 = 4 << 10;
/// Of the smallest pages; larger ones make the kernel refuse, which is no error.
const PAGE: u64 = 4_096;

/// The pages that deeper calls have used before. The frame must be this function's own: as a part of its caller's,
/// which may be large, it could lie above what is still in use there.
#[inline(never)]
fn give_back_stack(stack: Range<u64>) {
    let here = 0_u8;
    let here = (&raw const here).expose_provenance() as u64;
    let unused = stack.start..here.saturating_sub(FRAME_MAX) & !(PAGE - 1);
    // Another thread's stack lies elsewhere.
    if stack.contains(&here) && unused.start < unused.end {
        // SAFETY: these pages belong to this thread's stack and lie below every frame that is in use, the next one
        // included: nobody reads them before writing to them.
        unsafe { drop_pages(&unused) };
    }
}

/// # Safety
/// The range is mapped, and nobody minds that its pages are as they were when it was mapped.
unsafe fn drop_pages(range: &Range<u64>) {
    let Ok(address) = usize::try_from(range.start) else {
        return;
    };
    let Ok(length) = usize::try_from(range.end - range.start) else {
        return;
    };
    let address = std::ptr::with_exposed_provenance_mut::<libc::c_void>(address);
    // SAFETY: promised by the caller. The kernel refuses an address that is not a page's.
    unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) };
}
