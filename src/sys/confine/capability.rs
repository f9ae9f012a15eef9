//! Capabilities, capabilities(7): the bounding set is cut, and some are kept for a user who has none by himself.

use std::io;

use nix::libc;

use super::super::child::{Failure, at, check};
use super::super::step::Step;

/// The version of the kernel's structures that has 64 bits.
const VERSION: u32 = 0x2008_0522;
/// More than any kernel has.
const CAPABILITIES: libc::c_ulong = 64;

/// What a process keeps, bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilitySets {
    /// What it and its children can ever have.
    pub bounding: u64,
    /// What it has whoever it is.
    pub ambient: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The three sets of this process, whose order is the kernel's.
#[derive(Clone, Copy, Default)]
struct Own {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

/// The capabilities that this process may use.
///
/// # Errors
/// What capget(2) gives.
pub fn held() -> io::Result<u64> {
    let own = get().map_err(io::Error::from_raw_os_error)?;
    Ok(own.effective)
}

fn get() -> Result<Own, i32> {
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: both structures are ours and of this version's size.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) };
    check(result)?;
    let [low, high] = data;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Own {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "each half of a set is taken by itself"
)]
fn set(own: Own) -> Result<(), i32> {
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let half = |shift: u32| Data {
        effective: (own.effective >> shift) as u32,
        permitted: (own.permitted >> shift) as u32,
        inheritable: (own.inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: both structures are ours, of this version's size, and only read.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    check(result).map(drop)
}

/// Before the change of user, which takes the right to do this.
pub(super) fn limit(sets: &CapabilitySets) -> Result<(), Failure> {
    let cut = |result: libc::c_int| {
        let result = check(result.into()).map(drop);
        result.map_err(at(Step::CapabilityBoundingSet))
    };
    for number in (0..CAPABILITIES).filter(|number| sets.bounding & (1 << number) == 0) {
        // SAFETY: prctl with these options takes integers only.
        unsafe {
            if libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) > 0 {
                cut(libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0))?;
            }
        }
    }
    if sets.ambient != 0 {
        // SAFETY: prctl with this option takes integers only.
        let result = unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) };
        check(result.into()).map_err(at(Step::AmbientCapabilities))?;
    }
    Ok(())
}

/// After the change of user: what is not to be kept goes, the rest is made to outlive the program's execution.
pub(super) fn keep(sets: &CapabilitySets) -> Result<(), i32> {
    let mut own = get()?;
    own.inheritable = own.inheritable & sets.bounding | sets.ambient;
    // SAFETY: the call has no arguments and always works.
    if unsafe { libc::geteuid() } != 0 {
        // All that root had is still permitted, by the wish above.
        own.permitted = if sets.ambient == 0 {
            own.permitted & sets.bounding
        } else {
            sets.ambient
        };
        own.effective = own.effective & own.permitted | sets.ambient;
    }
    set(own)?;
    // SAFETY: prctl with this option takes integers only.
    let cleared = unsafe {
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
        libc::prctl(libc::PR_CAP_AMBIENT, clear, 0, 0, 0)
    };
    check(cleared.into())?;
    for number in (0..CAPABILITIES).filter(|number| sets.ambient & (1 << number) != 0) {
        // SAFETY: prctl with this option takes integers only.
        let raised = unsafe {
            let raise = libc::PR_CAP_AMBIENT_RAISE;
            libc::prctl(libc::PR_CAP_AMBIENT, raise, number, 0, 0)
        };
        check(raised.into())?;
    }
    Ok(())
}
