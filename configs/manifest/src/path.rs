//! Paths in a manifest: claims about files below the bundle's directory, and nowhere else.

use crate::{BundleError, Entry, files};
use std::path::{Path, PathBuf};

/// Bytes in a path of a bundle.
const MAX_PATH: usize = 128;

/// Where the entry's file is, if its path is one that we would have written: relative, of plain
/// components, not the manifest itself.
pub(crate) fn resolve(dir: &Path, entry: &Entry) -> Result<PathBuf, BundleError> {
    let path = entry.path.as_str();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    let why = if path.is_empty() || path.len() > MAX_PATH {
        "a path has 1 to 128 bytes"
    } else if !path.bytes().all(plain) {
        "a path is letters, digits and . - _ /"
    } else if path.starts_with('/') {
        "a path is relative to the bundle's directory"
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "a path stays in the bundle's directory and has no empty parts"
    } else if path == files::MANIFEST {
        "a manifest doesn't list itself"
    } else {
        return Ok(dir.join(path));
    };
    Err(BundleError::BadPath { path: path.escape_debug().take(MAX_PATH).collect(), why })
}

/// Are the paths in ascending order, so that each is there once?
pub(crate) fn ordered(entries: &[Entry]) -> Result<(), BundleError> {
    match entries.windows(2).find(|pair| pair[0].path >= pair[1].path) {
        Some(pair) => {
            let why = "paths are listed once, in ascending order";
            Err(BundleError::BadPath { path: pair[1].path.clone(), why })
        }
        None => Ok(()),
    }
}
