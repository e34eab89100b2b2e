//! A disk without power: what was synced is there, and of everything else as much as chance allows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::RngExt;
use rand::rngs::StdRng;

/// What a disk writes whole or not at all, usually.
const SECTOR: usize = 512;

/// The names in the directory, and which of the files each stands for.
type Names = BTreeMap<String, usize>;

/// One directory, as the system calls of programs leave it.
pub(crate) struct Disk {
    files: Vec<File>,
    /// The names when the directory was last synced, and after each change since.
    names: Vec<Names>,
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    changes: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Disk {
    /// Returns the files of `directory`, all synced.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut disk = Self { files: Vec::new(), names: vec![Names::new()] };
        for entry in fs::read_dir(directory).expect("a directory") {
            let entry = entry.expect("an entry");
            disk.create(entry.file_name().to_str().expect("a name in ASCII"));
            let file = disk.files.last_mut().expect("it was created");
            file.synced = fs::read(entry.path()).expect("a file");
        }
        disk.sync_directory();
        disk
    }

    /// Creates the file `name`, unless it is there.
    pub(crate) fn create(&mut self, name: &str) {
        if !self.current().contains_key(name) {
            self.files.push(File::default());
            let file = self.files.len() - 1;
            self.change_names(|names| _ = names.insert(name.to_owned(), file));
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.change_names(|names| _ = names.remove(name));
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        self.change_names(|names| {
            let file = names.remove(from).expect("it was created");
            names.insert(to.to_owned(), file);
        });
    }

    pub(crate) fn write(&mut self, name: &str, offset: usize, bytes: Vec<u8>) {
        self.file(name).changes.push(Change::Write { offset, bytes });
    }

    pub(crate) fn resize(&mut self, name: &str, length: usize) {
        self.file(name).changes.push(Change::Resize(length));
    }

    /// Syncs the content of the file `name`, but not its name.
    pub(crate) fn sync(&mut self, name: &str) {
        let file = self.file(name);
        for change in std::mem::take(&mut file.changes) {
            match change {
                Change::Write { offset, bytes } => put(&mut file.synced, offset, &bytes),
                Change::Resize(length) => file.synced.resize(length, 0),
            }
        }
    }

    /// Syncs all names.
    pub(crate) fn sync_directory(&mut self) {
        self.names = vec![self.current().clone()];
    }

    /// Returns the files that are there after a power cut now, if nothing has survived that wasn't synced.
    pub(crate) fn without_unsynced(&self) -> BTreeMap<&str, Vec<u8>> {
        let names = self.names[0].iter();
        names.map(|(name, file)| (name.as_str(), self.files[*file].synced.clone())).collect()
    }

    /// Returns the files that are there after a power cut now, if chance decides of each sector that wasn't synced. The names
    /// are those of some moment since they were synced.
    pub(crate) fn with_torn(&self, chance: &mut StdRng) -> BTreeMap<&str, Vec<u8>> {
        let names = &self.names[chance.random_range(0..self.names.len())];
        let files = names.iter();
        files.map(|(name, file)| (name.as_str(), self.files[*file].tear(chance))).collect()
    }

    fn current(&self) -> &Names {
        self.names.last().expect("there is always one")
    }

    fn change_names(&mut self, change: impl FnOnce(&mut Names)) {
        let mut names = self.current().clone();
        change(&mut names);
        self.names.push(names);
    }

    fn file(&mut self, name: &str) -> &mut File {
        let file = self.current()[name];
        &mut self.files[file]
    }
}

impl File {
    fn tear(&self, chance: &mut StdRng) -> Vec<u8> {
        let mut content = self.synced.clone();
        for change in &self.changes {
            match change {
                Change::Write { offset, bytes } => tear(&mut content, *offset, bytes, chance),
                Change::Resize(length) if chance.random() => content.resize(*length, 0),
                Change::Resize(_) => {}
            }
        }
        content
    }
}

/// Writes some sectors of `bytes`, and of a few of these only the beginning.
fn tear(content: &mut Vec<u8>, offset: usize, bytes: &[u8], chance: &mut StdRng) {
    let mut start = 0;
    while start < bytes.len() {
        let end = bytes.len().min(start + SECTOR - (offset + start) % SECTOR);
        if chance.random() {
            let end = if chance.random_bool(0.1) { chance.random_range(start..end) } else { end };
            put(content, offset + start, &bytes[start..end]);
        }
        start = end;
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}
