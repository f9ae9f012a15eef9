//! A service's own view of the file system, by mounts that only its processes see.
//!
//! Owns the order of the steps: what is to stay as it is is taken in hand first, then the paths are gone through from
//! above, so that what lies below finds its place.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::engine::SpawnFailure;
use crate::sorted;
use crate::sys::confine::{MountFlags, MountStep, Slot};

use super::super::folders::below;
use super::super::spawn::failure;
use super::rules::{Access, Rule};
use super::{Place, devices};
use crate::unit::Sandbox;

/// What nobody can open where devices are forbidden, whoever he is.
const NOTHING: &str = "/dev/null";
const CLOSED: MountFlags = MountFlags::READ_ONLY
    .and(MountFlags::NO_SUID)
    .and(MountFlags::NO_DEVICES)
    .and(MountFlags::NO_EXEC);

/// The folders of `PrivateTmp=`, and where in the service's own folder each is.
const TEMPORARY: [(&str, &str); 2] = [("/tmp", "tmp"), ("/var/tmp", "var-tmp")];

/// The steps, and what each is about.
pub(super) fn steps(
    sandbox: &Sandbox,
    rules: &[Rule],
    (temporary, root): (&Path, &Path),
) -> Result<(Vec<MountStep>, Vec<Place>), SpawnFailure> {
    let mut wishes: Vec<Wish<'_>> = rules.iter().map(Wish::of_rule).collect();
    if sandbox.private_tmp {
        for (path, name) in TEMPORARY {
            let (path, source) = (below(root, Path::new(path)), temporary.join(name));
            wishes.push(Wish::new(path, Content::Bind(source), "PrivateTmp"));
        }
    }
    if sandbox.private_devices {
        let path = below(root, Path::new("/dev"));
        wishes.push(Wish::new(path, Content::Devices, "PrivateDevices"));
    }
    sorted::sort_by(&mut wishes, |a, b| {
        (&a.path, a.content.rank()).cmp(&(&b.path, b.content.rank()))
    });
    wishes.dedup_by(|later, earlier| later.path == earlier.path);
    let mut script = Script::default();
    for wish in &mut wishes {
        wish.prepare(&mut script)?;
    }
    for wish in wishes {
        wish.carry_out(&mut script, root)?;
    }
    Ok((script.steps, script.places))
}

/// What is to be found at a path.
#[derive(Debug)]
enum Content {
    Ruled(Access),
    /// What lies elsewhere.
    Bind(PathBuf),
    Devices,
}

impl Content {
    /// Which of several holds: what is forbidden, then what is new, then what stays.
    fn rank(&self) -> u8 {
        match self {
            Self::Ruled(Access::Nothing) => 0,
            Self::Bind(_) | Self::Devices => 1,
            Self::Ruled(Access::Empty(_)) => 2,
            Self::Ruled(Access::Read) => 3,
            Self::Ruled(Access::Write) => 4,
        }
    }
}

#[derive(Debug)]
struct Wish<'a> {
    path: std::borrow::Cow<'a, Path>,
    content: Content,
    key: &'static str,
    /// What was taken in hand.
    slot: Option<Slot>,
    devices: Option<devices::Taken>,
}

impl<'a> Wish<'a> {
    fn new(path: PathBuf, content: Content, key: &'static str) -> Self {
        Self {
            path: path.into(),
            content,
            key,
            slot: None,
            devices: None,
        }
    }

    fn of_rule(rule: &'a Rule) -> Self {
        Self {
            path: rule.path.as_path().into(),
            content: Content::Ruled(rule.access),
            key: rule.key,
            slot: None,
            devices: None,
        }
    }

    /// Takes in hand what would look otherwise once the first steps are done.
    fn prepare(&mut self, script: &mut Script) -> Result<(), SpawnFailure> {
        script.now_about(self.key, &self.path);
        match &self.content {
            Content::Ruled(Access::Write) => self.slot = Some(script.take(&self.path)?),
            Content::Bind(source) => self.slot = Some(script.take(source)?),
            Content::Devices => self.devices = Some(devices::Taken::new(script)?),
            Content::Ruled(Access::Nothing) if !self.path.is_dir() => {
                self.slot = Some(script.take(Path::new(NOTHING))?);
            }
            Content::Ruled(_) => {}
        }
        Ok(())
    }

    fn carry_out(self, script: &mut Script, root: &Path) -> Result<(), SpawnFailure> {
        script.now_about(self.key, &self.path);
        match (self.content, self.slot) {
            (Content::Ruled(Access::Write), Some(slot)) => {
                script.put(slot, MountFlags::NONE, &self.path)
            }
            (Content::Bind(_), Some(slot)) => {
                let flags = MountFlags::NO_SUID.and(MountFlags::NO_DEVICES);
                script.put(slot, flags, &self.path)
            }
            (Content::Ruled(Access::Nothing), Some(slot)) => script.put(slot, CLOSED, &self.path),
            (Content::Ruled(Access::Nothing), None) => {
                let slot = script.fresh(c"0")?;
                script.put(slot, CLOSED, &self.path)
            }
            (Content::Ruled(Access::Empty(mode)), _) => {
                let slot = script.fresh(mode)?;
                let flags = MountFlags::READ_ONLY.and(MountFlags::NO_DEVICES);
                script.put(slot, flags.and(MountFlags::NO_SUID), &self.path)
            }
            (Content::Ruled(Access::Read), _) if self.path.as_ref() == Path::new("/") => {
                script.change(&self.path, MountFlags::READ_ONLY)
            }
            (Content::Ruled(Access::Read), _) => {
                let slot = script.take(&self.path)?;
                script.put(slot, MountFlags::READ_ONLY, &self.path)
            }
            (Content::Devices, _) => match self.devices {
                Some(taken) => taken.put(script, root),
                None => Ok(()),
            },
            (Content::Ruled(Access::Write) | Content::Bind(_), None) => Ok(()),
        }
    }
}

/// The steps as they are written down.
#[derive(Default)]
pub(super) struct Script {
    steps: Vec<MountStep>,
    places: Vec<Place>,
    slots: usize,
}

impl Script {
    /// What the next steps are for.
    fn now_about(&mut self, key: &'static str, path: &Path) {
        let first = self.steps.len();
        // What nothing was done about is not told of.
        self.places.retain(|place| place.first < first);
        self.places.push(Place {
            key,
            path: path.display().to_string().into(),
            first,
        });
    }

    pub(super) fn add(&mut self, step: MountStep) {
        self.steps.push(step);
    }

    fn slot(&mut self) -> Result<Slot, SpawnFailure> {
        let slot = Slot::new(self.slots);
        self.slots += 1;
        slot.ok_or_else(|| {
            let key = self.places.last().map_or("sandbox", |about| about.key);
            let reason = format!("{key}: more paths than {} cannot be treated", self.slots);
            failure(key, 0, reason)
        })
    }

    pub(super) fn take(&mut self, path: &Path) -> Result<Slot, SpawnFailure> {
        let (slot, path) = (self.slot()?, c_path(path)?);
        self.add(MountStep::Take { path, slot });
        Ok(slot)
    }

    pub(super) fn fresh(&mut self, mode: &'static std::ffi::CStr) -> Result<Slot, SpawnFailure> {
        let slot = self.slot()?;
        self.add(MountStep::Fresh { mode, slot });
        Ok(slot)
    }

    pub(super) fn put(
        &mut self,
        slot: Slot,
        flags: MountFlags,
        path: &Path,
    ) -> Result<(), SpawnFailure> {
        let path = c_path(path)?;
        self.add(MountStep::Put { slot, flags, path });
        Ok(())
    }

    pub(super) fn change(&mut self, path: &Path, flags: MountFlags) -> Result<(), SpawnFailure> {
        let path = c_path(path)?;
        self.add(MountStep::Change { path, flags });
        Ok(())
    }
}

pub(super) fn c_path(path: &Path) -> Result<CString, SpawnFailure> {
    let nul = |_| {
        failure(
            "sandbox",
            0,
            format!("{}: a NUL byte in a path", path.display()),
        )
    };
    CString::new(path.as_os_str().as_bytes()).map_err(nul)
}
