//! What a role was resolved to: kept as JSON, so that the same packages are used until the user
//! asks for newer ones.

use crate::{ImageError, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// The version of the record's form; a record of another form is made anew.
const FORMAT: u32 = 1;

/// One role's packages. The first is the one that the role is named for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    format: u32,
    role: String,
    /// The package that was asked for: a meta package, for a kernel.
    asked: String,
    pub(super) packages: Vec<Deb>,
}

/// One package as the signed index describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deb {
    pub(super) name: String,
    pub(super) version: String,
    /// SHA-256 of the `.deb`, 64 hex digits.
    pub(super) sha256: String,
    /// Its length in bytes.
    pub(super) size: u64,
    /// The packages that it depends on, first alternatives only.
    #[serde(skip)]
    pub(super) depends: Vec<String>,
}

impl Record {
    pub(super) fn new(role: &str, asked: &str, packages: Vec<Deb>) -> Record {
        Record { format: FORMAT, role: role.into(), asked: asked.into(), packages }
    }

    /// The record in a file. None: there is none, or it isn't one that we can use.
    pub(super) fn read(path: &Path) -> Result<Option<Record>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(ImageError::io("read", path))?,
        };
        let record = serde_json::from_str::<Record>(&text).ok();
        Ok(record.filter(|record| record.format == FORMAT && record.is_sound()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other);
        let write = |text: String| fs::write(path, text + "\n");
        text.and_then(write).map_err(ImageError::io("write", path))
    }

    /// The package that the role is named for.
    pub(super) fn main(&self, path: &Path) -> Result<&Deb> {
        self.packages.first().ok_or_else(|| ImageError::content(path, "names no package"))
    }

    /// The packages that are unpacked beside the main one.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Deb> {
        self.packages.iter().skip(1)
    }

    /// The name of the directory that all of them unpack into.
    pub(super) fn key(&self) -> String {
        match self.packages.as_slice() {
            [one] => one.sha256.clone(),
            several => {
                let mut hash = Sha256::new();
                several.iter().for_each(|deb| hash.update(&deb.sha256));
                hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
            }
        }
    }

    /// Hashes become file names: nothing but hex may pass.
    fn is_sound(&self) -> bool {
        !self.packages.is_empty() && self.packages.iter().all(Deb::is_sound)
    }
}

impl Deb {
    /// Has it a plain name and version, and a whole hash?
    pub(super) fn is_sound(&self) -> bool {
        let plain = |text: &str| {
            !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || ".+-~:".contains(c))
        };
        plain(&self.name)
            && !self.name.starts_with('-')
            && plain(&self.version)
            && self.sha256.len() == 64
            && self.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn deb() -> Deb {
        let name = "linux-image-6.1.0-56-cloud-amd64".into();
        Deb { name, version: "6.1.192-2".into(), sha256: "0f".repeat(32), size: 1, depends: vec![] }
    }

    #[test]
    fn a_record_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        assert_eq!(Record::read(&path).unwrap(), None);
        let record = Record::new("guest-kernel", "linux-image-cloud-amd64", vec![deb()]);
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), Some(record));
    }

    #[test]
    fn a_record_that_was_tampered_with_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        let evil = [
            Deb { sha256: format!("../{}", "0".repeat(61)), ..deb() },
            Deb { name: "--allow-unauthenticated".into(), ..deb() },
            Deb { name: "a b".into(), ..deb() },
            Deb { version: String::new(), ..deb() },
        ];
        for deb in evil {
            Record::new("busybox", "busybox-static", vec![deb]).write(&path).unwrap();
            assert_eq!(Record::read(&path).unwrap(), None);
        }
        fs::write(&path, "{}").unwrap();
        assert_eq!(Record::read(&path).unwrap(), None);
    }
}
