//! Who else, besides their owner, can read and write files.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

// The bits of a file's mode (`inode(7)`).
const READABLE_BY_OTHERS: u32 = 0o004;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
const READABLE_BY_GROUP: u32 = 0o040;
const ANYTHING_BY_GROUP_OR_OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;
const PERMISSIONS: u32 = 0o7777;

/// The owner and the permission bits of a file or a directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access {
    owner: u32,
    mode: u32,
}

impl Access {
    /// Returns who can read and write the file at `path`, or the file that a link there leads to.
    ///
    /// # Errors
    /// Returns an error if there is no such file, or if this user can't look at it.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&path.metadata()?))
    }

    /// Returns whether everyone can read it.
    pub fn others_can_read(self) -> bool {
        self.mode & READABLE_BY_OTHERS != 0
    }

    /// Returns whether everyone can write it.
    pub fn others_can_write(self) -> bool {
        self.mode & WRITABLE_BY_OTHERS != 0
    }

    /// Returns whether it belongs to another user, who isn't root either.
    pub fn is_strangers(self) -> bool {
        self.owner != 0 && self.owner != geteuid().as_raw()
    }

    /// Returns whether a user besides its owner can write it.
    pub fn is_shared(self) -> bool {
        self.mode & (WRITABLE_BY_GROUP | WRITABLE_BY_OTHERS) != 0
    }

    /// Returns whether only its owner has any access to it.
    pub fn is_private(self) -> bool {
        self.mode & ANYTHING_BY_GROUP_OR_OTHERS == 0
    }

    /// Returns whether it belongs to root, and nobody else has any access to it but a group that can read it.
    pub fn is_lent_by_root(self) -> bool {
        self.owner == 0 && self.mode & ANYTHING_BY_GROUP_OR_OTHERS & !READABLE_BY_GROUP == 0
    }

    /// Returns whether, if it is a directory, a user can remove only their own files from it.
    pub fn is_sticky(self) -> bool {
        self.mode & STICKY != 0
    }
}

impl From<&Metadata> for Access {
    fn from(metadata: &Metadata) -> Self {
        Self { owner: metadata.uid(), mode: metadata.mode() & PERMISSIONS }
    }
}

impl fmt::Display for Access {
    /// Writes the mode as `chmod` takes it: `mode 644`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "mode {:03o}", self.mode)
    }
}
