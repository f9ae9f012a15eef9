//! Where unit files lie: the search path, templates, drop-ins; the one place of this room that reads files.
//!
//! Owns which files make a unit and what they may weigh; their text is `parse.rs`'s. Reads nothing but regular
//! files, so that no pipe or device put into a folder can hold its reader up.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::sorted;

use super::file::MAX_FILE;
use super::name::ENDING;
use super::parse::parse_sources;
use super::report::{Fault, Report, Source};
use super::{Context, Unit, UnitName, hash};

/// So many units are listed at most.
const MAX_UNITS: usize = 10_000;
/// So many drop-ins of one unit are read.
const MAX_DROP_INS: usize = 256;

/// Bytes of a buffer that are left when a file is read: with fewer, its reader probes for the end in small steps.
const END_ROOM: usize = 64;

/// The folders in which units are looked for, first one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPath {
    pub directories: Vec<PathBuf>,
}

/// A unit file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// Files of the same name in later folders: they are not read.
    pub hidden: Vec<PathBuf>,
}

/// A unit in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// A template stands here as itself: `worker@`.
    pub name: UnitName,
    pub found: Found,
}

/// Every unit of a search path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// By name.
    pub units: Vec<Listed>,
    /// What could not be read or listed, and why.
    pub skipped: Vec<Skipped>,
}

/// A folder or file that was left out of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub path: PathBuf,
    pub reason: String,
}

impl SearchPath {
    /// Finds a unit's file: its own, else for an instance its template's. A unit's own file in any folder comes
    /// before a template in an earlier one, as in systemd.
    #[must_use]
    pub fn find(&self, name: &UnitName) -> Option<Found> {
        let own = self.find_file(name);
        own.or_else(|| self.find_file(&name.template()?))
    }

    fn find_file(&self, name: &UnitName) -> Option<Found> {
        let file = format!("{name}{ENDING}");
        let paths = self
            .directories
            .iter()
            .map(|directory| directory.join(&file));
        let mut present = paths.filter(|path| path.is_file());
        let path = present.next()?;
        let hidden = present.filter(|other| *other != path).collect();
        Some(Found { path, hidden })
    }

    /// Lists every unit file of the folders. A folder that is not there is none.
    #[must_use]
    pub fn list(&self) -> Listing {
        let mut listing = Listing::default();
        let mut units: BTreeMap<UnitName, Found> = BTreeMap::new();
        for directory in &self.directories {
            let files = match files_of(directory, ENDING, MAX_UNITS) {
                Ok(files) => files,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    listing.skip(directory, reason(&error));
                    continue;
                }
            };
            if files.more {
                listing.skip(directory, format!("only {MAX_UNITS} units are listed"));
            }
            for other in files.others {
                let reason = "it is not a file, or a link to nothing".to_owned();
                listing.skip(&directory.join(other), reason);
            }
            for file in files.names {
                let path = directory.join(&file);
                match UnitName::parse(&file) {
                    Err(error) => listing.skip(&path, error.to_string()),
                    Ok(name) => match units.get_mut(&name) {
                        None => {
                            let hidden = vec![];
                            units.insert(name, Found { path, hidden });
                        }
                        Some(found) if found.path == path => {}
                        Some(found) => found.hidden.push(path),
                    },
                }
            }
        }
        let units = units
            .into_iter()
            .map(|(name, found)| Listed { name, found });
        listing.units = units.collect();
        listing
    }
}

impl Listing {
    fn skip(&mut self, path: &Path, reason: String) {
        let path = path.to_owned();
        self.skipped.push(Skipped { path, reason });
    }
}

/// Why a unit could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// No folder has its file.
    NotFound {
        name: UnitName,
        searched: Vec<PathBuf>,
    },
    /// A file of it cannot be read.
    Io { path: PathBuf, error: io::Error },
    /// It can be read and is wrong.
    Invalid(Report),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name, searched } if searched.is_empty() => {
                write!(f, "there is no unit `{name}`: no folder is searched")
            }
            Self::NotFound { name, searched } => {
                write!(f, "there is no unit `{name}` in ")?;
                for (index, path) in searched.iter().enumerate() {
                    let gap = if index == 0 { "" } else { ", " };
                    write!(f, "{gap}{}", path.display())?;
                }
                Ok(())
            }
            Self::Io { path, error } => {
                write!(f, "cannot read {}: {}", path.display(), reason(error))
            }
            Self::Invalid(report) => fmt::Display::fmt(report, f),
        }
    }
}

impl std::error::Error for LoadError {}

/// Finds and reads a unit.
///
/// # Errors
/// There is no such unit, a file cannot be read, or something in it is wrong.
pub fn load(name: &UnitName, path: &SearchPath, context: &Context) -> Result<Unit, LoadError> {
    match path.find(name) {
        Some(found) => load_file(&found.path, name, context),
        None => Err(LoadError::NotFound {
            name: name.clone(),
            searched: path.directories.clone(),
        }),
    }
}

/// Reads a unit from a known file, which is made absolute against the current directory, and from the drop-ins
/// beside it.
///
/// # Errors
/// A file cannot be read, or something in it is wrong.
pub fn load_file(path: &Path, name: &UnitName, context: &Context) -> Result<Unit, LoadError> {
    let absolute = std::path::absolute(path).map_err(|error| LoadError::Io {
        path: path.to_owned(),
        error,
    })?;
    let sources = read_sources(&absolute, name)?;
    parse_sources(&sources, name, context).map_err(LoadError::Invalid)
}

/// Reads a unit as it would be if one of its files, `changed.0`, held this text: its own, or a drop-in that need not be
/// there yet.
///
/// # Errors
/// Another file of it cannot be read, or something in it is wrong.
pub fn load_changed(
    path: &Path,
    changed: (&Path, &str),
    name: &UnitName,
    context: &Context,
) -> Result<Unit, LoadError> {
    let mut paths = files(path, name)?;
    if !paths.iter().any(|known| known == changed.0) {
        let place = paths.iter().skip(1).position(|known| {
            known.parent() == changed.0.parent() && known.file_name() > changed.0.file_name()
        });
        paths.insert(
            place.map_or(paths.len(), |place| place + 1),
            changed.0.to_owned(),
        );
    }
    let sources = paths.iter().map(|known| match known == changed.0 {
        true => Ok(Source {
            path: known.clone(),
            text: changed.1.to_owned(),
        }),
        false => read_source(known),
    });
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    parse_sources(&sources, name, context).map_err(LoadError::Invalid)
}

/// The content hash of a unit's file and drop-ins as they are on disk: equal to [`Unit::hash`] while nothing changed.
///
/// # Errors
/// A file cannot be read or is no text.
pub fn hash_on_disk(path: &Path, name: &UnitName) -> Result<u64, LoadError> {
    Ok(hash::of_sources(&read_sources(path, name)?, name))
}

pub(super) fn read_sources(path: &Path, name: &UnitName) -> Result<Vec<Source>, LoadError> {
    files(path, name)?
        .iter()
        .map(|file| read_source(file))
        .collect()
}

/// The files that make a unit, as they are read: its own, then the drop-ins beside it in the order of their names,
/// those of the template before those of the instance.
///
/// # Errors
/// A folder of drop-ins cannot be read, or holds too many.
pub fn files(path: &Path, name: &UnitName) -> Result<Vec<PathBuf>, LoadError> {
    let mut paths = vec![path.to_owned()];
    let folder = path.parent().unwrap_or(path);
    let names = name.template().into_iter().chain([name.clone()]);
    for name in names {
        let drop_ins = folder.join(format!("{name}{ENDING}.d"));
        let files = match files_of(&drop_ins, ".toml", MAX_DROP_INS) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(LoadError::Io {
                    path: drop_ins,
                    error,
                });
            }
            Ok(files) => files,
        };
        if files.more {
            let error = io::Error::other(format!("it holds more than {MAX_DROP_INS} drop-ins"));
            return Err(LoadError::Io {
                path: drop_ins,
                error,
            });
        }
        paths.extend(files.names.iter().map(|file| drop_ins.join(file)));
    }
    Ok(paths)
}

fn read_source(path: &Path) -> Result<Source, LoadError> {
    let fail = |error| LoadError::Io {
        path: path.to_owned(),
        error,
    };
    // Opening a pipe would wait for its other end.
    let found = fs::metadata(path).map_err(fail)?;
    if !found.is_file() {
        return Err(fail(io::Error::other("it is not a regular file")));
    }
    // With room for all of it, and some to see its end: read in one go.
    let length = usize::try_from(found.len()).unwrap_or(MAX_FILE);
    let mut bytes = Vec::with_capacity(length.min(MAX_FILE) + END_ROOM);
    // One byte more than is allowed: enough to see that there is more.
    let limit = u64::try_from(MAX_FILE + 1).unwrap_or(u64::MAX);
    let file = fs::File::open(path).map_err(fail)?;
    file.take(limit).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > MAX_FILE {
        return Err(refuse(
            path,
            vec![],
            format!("the file is longer than {MAX_FILE} bytes"),
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source {
            path: path.to_owned(),
            text,
        }),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(valid);
            Err(refuse(
                path,
                bytes,
                "the file is not UTF-8 from here on".to_owned(),
            ))
        }
    }
}

/// A report about the end of what could be read of a file.
fn refuse(path: &Path, valid: Vec<u8>, message: String) -> LoadError {
    let source = Source {
        path: path.to_owned(),
        text: String::from_utf8(valid).unwrap_or_default(),
    };
    let end = source.text.len();
    let finding = (0, Fault::new(end..end, message));
    LoadError::Invalid(Report::new(vec![finding], &[source]))
}

struct Files {
    names: Vec<String>,
    /// Names with the ending that are no files: folders, links to nothing.
    others: Vec<String>,
    /// There were more than were asked for.
    more: bool,
}

/// The regular files of a folder with an ending, by name; hidden ones are left out.
fn files_of(directory: &Path, ending: &str, most: usize) -> io::Result<Files> {
    let mut names = vec![];
    let mut others = vec![];
    let mut more = false;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || !name.ends_with(ending) {
            continue;
        }
        // Most folders say themselves what is in them; only a link has to be looked at.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file()) || entry.path().is_file();
        if !is_file {
            if others.len() < most {
                others.push(name);
            }
            continue;
        }
        if names.len() == most {
            more = true;
            break;
        }
        names.push(name);
    }
    sorted::sort(&mut names);
    sorted::sort(&mut others);
    Ok(Files {
        names,
        others,
        more,
    })
}

/// The system's words for an error, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
