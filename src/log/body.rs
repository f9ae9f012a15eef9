//! The bytes of one log file, packed or not. A packed one is unpacked once somebody looks at its bytes, so that whoever
//! only passes it over does not wait for that.

use std::cell::OnceCell;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::packing::{PACKINGS, Packing, unpack};
use super::paths::Paths;

/// See the module.
#[derive(Debug)]
pub(super) struct Body {
    /// Held as long as this is, so that no other file gets its inode.
    file: File,
    packed: Option<Packed>,
}

#[derive(Debug)]
struct Packed {
    path: PathBuf,
    packing: Packing,
    bytes: OnceCell<File>,
}

impl Body {
    /// Opens the file of this number; nothing when there is none.
    pub(super) fn open(paths: &Paths, number: u32) -> io::Result<Option<Body>> {
        if let Some(file) = open_file(&paths.log(number))? {
            let packed = None;
            return Ok(Some(Body { file, packed }));
        }
        for packing in PACKINGS.into_iter().filter(|_| number > 0) {
            let path = paths.packed(number, packing);
            if let Some(file) = open_file(&path)? {
                let bytes = OnceCell::new();
                let packed = Some(Packed {
                    path,
                    packing,
                    bytes,
                });
                return Ok(Some(Body { file, packed }));
            }
        }
        Ok(None)
    }

    /// Of the file as it lies there.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Whether the number still leads to this file.
    pub(super) fn is_at(&self, paths: &Paths, number: u32) -> io::Result<bool> {
        let held = self.metadata()?;
        let path = match &self.packed {
            None => paths.log(number),
            Some(packed) => paths.packed(number, packed.packing),
        };
        let named = fs::metadata(path);
        Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())))
    }

    /// How the file is packed, if it is.
    pub(super) fn packing(&self) -> Option<Packing> {
        self.packed.as_ref().map(|packed| packed.packing)
    }

    /// How many bytes the service's output in it has.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.bytes()?.metadata()?.len())
    }

    /// Reads as much as there is, up to the buffer's length.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(self.bytes()?, buffer, offset)
    }

    pub(super) fn try_clone(&self) -> io::Result<Body> {
        let file = self.file.try_clone()?;
        let packed = match &self.packed {
            None => None,
            Some(packed) => {
                let bytes = OnceCell::new();
                if let Some(unpacked) = packed.bytes.get() {
                    let _ = bytes.set(unpacked.try_clone()?);
                }
                Some(Packed {
                    path: packed.path.clone(),
                    packing: packed.packing,
                    bytes,
                })
            }
        };
        Ok(Body { file, packed })
    }

    fn bytes(&self) -> io::Result<&File> {
        let Some(packed) = &self.packed else {
            return Ok(&self.file);
        };
        if let Some(bytes) = packed.bytes.get() {
            return Ok(bytes);
        }
        let unpacked = unpack(&packed.path, &self.file, packed.packing)?;
        Ok(packed.bytes.get_or_init(|| unpacked))
    }
}

/// Reads as much as there is, up to the buffer's length.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Opens a file; nothing when there is none.
pub(super) fn open_file(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
