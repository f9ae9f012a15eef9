//! A view of the file system of a process's own, mount_namespaces(7): trees are taken, changed and put elsewhere.
//!
//! Owns the few steps of which every such view is made, and their execution in the child. By the calls of Linux 5.12,
//! since the older ones cannot change a tree as a whole. Which steps make what view is the shell's.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::ptr;

use nix::libc;

use super::super::child::{Failure, at, check};
use super::super::step::Step;

/// How many trees can be in hand at once.
const SLOTS: usize = 256;

/// The number of a tree in hand, less than [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u8);

impl Slot {
    /// `None`: there are not so many.
    #[must_use]
    pub fn new(number: usize) -> Option<Self> {
        u8::try_from(number).ok().map(Self)
    }
}

/// What is forbidden in a tree of mounts, bit by bit as mount_setattr(2) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountFlags(u64);

impl MountFlags {
    pub const NONE: Self = Self(0);
    pub const READ_ONLY: Self = Self(0x1);
    pub const NO_SUID: Self = Self(0x2);
    pub const NO_DEVICES: Self = Self(0x4);
    pub const NO_EXEC: Self = Self(0x8);

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One step. Paths are absolute, in the caller's view as the steps before have changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountStep {
    /// Takes a copy of the tree at a path in hand.
    Take {
        path: CString,
        slot: Slot,
    },
    /// Makes an empty file system in memory, whose top folder has this mode, in octal digits.
    Fresh {
        mode: &'static CStr,
        slot: Slot,
    },
    /// Forbids something in the whole tree, and puts it at a path.
    Put {
        slot: Slot,
        flags: MountFlags,
        path: CString,
    },
    /// Forbids something in the whole tree that is at a path, which has to be its top.
    Change {
        path: CString,
        flags: MountFlags,
    },
    MakeFile {
        path: CString,
    },
    MakeFolder {
        path: CString,
    },
    MakeLink {
        path: CString,
        target: CString,
    },
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const OPEN_TREE_CLONE: libc::c_uint = 1;
const AT_RECURSIVE: libc::c_int = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_SYMLINKS: libc::c_uint = 0x10;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const MODE_FILE: libc::mode_t = 0o666;
const MODE_FOLDER: libc::mode_t = 0o755;

pub(super) fn enter(steps: &[MountStep]) -> Result<(), Failure> {
    if steps.is_empty() {
        return Ok(());
    }
    own_namespace().map_err(at(Step::MountNamespace))?;
    let mut hand: [RawFd; SLOTS] = [-1; SLOTS];
    for (step, number) in steps.iter().zip(0..) {
        make(step, &mut hand).map_err(at(Step::Mount(number)))?;
    }
    Ok(())
}

/// What is mounted here is seen nowhere else; what is mounted elsewhere later is seen here.
fn own_namespace() -> Result<(), i32> {
    // SAFETY: unshare takes an integer.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into())?;
    let flags = libc::MS_REC | libc::MS_SLAVE;
    // SAFETY: the path is a C string; what is null is not looked at with these flags.
    let result = unsafe {
        libc::mount(
            ptr::null(),
            c"/".as_ptr(),
            ptr::null(),
            flags,
            ptr::null::<libc::c_void>(),
        )
    };
    check(result.into()).map(drop)
}

fn make(step: &MountStep, hand: &mut [RawFd; SLOTS]) -> Result<(), i32> {
    match step {
        MountStep::Take { path, slot } => hold(hand, *slot, take(path)?),
        MountStep::Fresh { mode, slot } => hold(hand, *slot, fresh(mode)?),
        MountStep::Put { slot, flags, path } => {
            let tree = std::mem::replace(&mut hand[usize::from(slot.0)], -1);
            let flag = libc::AT_EMPTY_PATH | AT_RECURSIVE;
            if *flags != MountFlags::NONE {
                change((tree, c""), flag, *flags)?;
            }
            let how = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
            // SAFETY: both paths are C strings, the descriptor is a tree in our hand.
            let moved = unsafe {
                let (from, to) = (c"".as_ptr(), path.as_ptr());
                libc::syscall(libc::SYS_move_mount, tree, from, libc::AT_FDCWD, to, how)
            };
            check(moved)?;
            // SAFETY: the descriptor was made here and is not used again.
            unsafe { libc::close(tree) };
        }
        MountStep::Change { path, flags } => {
            change((libc::AT_FDCWD, path), AT_RECURSIVE, *flags)?;
        }
        MountStep::MakeFile { path } => {
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC;
            // SAFETY: the path is a C string.
            let file = unsafe { libc::open(path.as_ptr(), flags, MODE_FILE) };
            check(file.into())?;
            // SAFETY: the descriptor was made here and is not used again.
            unsafe { libc::close(file) };
        }
        MountStep::MakeFolder { path } => {
            // SAFETY: the path is a C string.
            check(unsafe { libc::mkdir(path.as_ptr(), MODE_FOLDER) }.into())?;
        }
        MountStep::MakeLink { path, target } => {
            // SAFETY: both are C strings.
            check(unsafe { libc::symlink(target.as_ptr(), path.as_ptr()) }.into())?;
        }
    }
    Ok(())
}

fn hold(hand: &mut [RawFd; SLOTS], slot: Slot, tree: RawFd) {
    hand[usize::from(slot.0)] = tree;
}

/// Descriptors are small numbers, whatever type a raw call returns them in.
fn descriptor(result: libc::c_long) -> Result<RawFd, i32> {
    RawFd::try_from(check(result)?).map_err(|_| libc::EBADF)
}

fn take(path: &CStr) -> Result<RawFd, i32> {
    let flags = OPEN_TREE_CLONE | (libc::O_CLOEXEC | AT_RECURSIVE).cast_unsigned();
    // SAFETY: the path is a C string.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    descriptor(tree)
}

fn change((folder, path): (RawFd, &CStr), how: libc::c_int, flags: MountFlags) -> Result<(), i32> {
    let attributes = Attributes {
        set: flags.0,
        ..Attributes::default()
    };
    // SAFETY: the path is a C string; the structure is ours and its true size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            folder,
            path.as_ptr(),
            how,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    check(result).map(drop)
}

fn fresh(mode: &CStr) -> Result<RawFd, i32> {
    let no_text = ptr::null::<libc::c_char>();
    // SAFETY: names and values are C strings, nulls stand where the command takes none; the descriptor was made here.
    unsafe {
        let name = c"tmpfs".as_ptr();
        let context = descriptor(libc::syscall(libc::SYS_fsopen, name, FSOPEN_CLOEXEC))?;
        let set = |command: libc::c_uint, key: *const libc::c_char, value: *const libc::c_char| {
            let result = libc::syscall(libc::SYS_fsconfig, context, command, key, value, 0);
            check(result)
        };
        set(FSCONFIG_SET_STRING, c"mode".as_ptr(), mode.as_ptr())?;
        set(FSCONFIG_CMD_CREATE, no_text, no_text)?;
        let tree = descriptor(libc::syscall(
            libc::SYS_fsmount,
            context,
            FSMOUNT_CLOEXEC,
            0,
        ))?;
        libc::close(context);
        Ok(tree)
    }
}
