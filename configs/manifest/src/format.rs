//! `manifest.json`, version 1: the serde form. Claims only; [`crate::Bundle::open`] proves them.

use crate::{BundleError, Digest};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the format that this crate writes and reads.
pub const VERSION: u32 = 1;

/// What a bundle was built from, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: [`VERSION`].
    pub version: u32,
    /// Version of the tool that built the bundle.
    pub tool_version: String,
    /// The cluster's name.
    pub cluster: String,
    /// SHA-256 of the map as text: nodes with different maps must not meet.
    pub layout_sha256: Digest,
    /// What the bundle was built from.
    pub inputs: Vec<Input>,
    /// Every file of the bundle but the manifest, in the order of their paths.
    pub outputs: Vec<Entry>,
}

/// Something that the bundle was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What it is for: `kernel`.
    pub role: String,
    /// Its file name: `vmlinuz-6.12.95-amd64`.
    pub name: String,
    /// Where it came from; never a path of the machine that built the bundle.
    pub source: Source,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Where an [`Input`] came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A package of the distribution.
    Package {
        /// The package's name.
        name: String,
        /// The package's version.
        version: String,
    },
    /// A file that the user named, by its file name.
    File(String),
}

/// A file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it is, relative to the bundle's directory, with `/`.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Just the version, so that another one is named before anything else of it is looked at.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Manifest {
    /// Bytes of the largest manifest that is read.
    pub const MAX_LEN: u64 = 1 << 20;
    /// The most files that a bundle may hold.
    pub const MAX_OUTPUTS: usize = 256;

    /// The text of `manifest.json`: the same manifest always gives the same bytes.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads the text of a manifest; `path` is for errors.
    pub fn from_json(text: &[u8], path: &Path) -> Result<Manifest, BundleError> {
        let failed = |cause| BundleError::Format { path: path.to_owned(), cause };
        let Versioned { version } = serde_json::from_slice(text).map_err(failed)?;
        if version != VERSION {
            return Err(BundleError::Version { path: path.to_owned(), found: version });
        }
        serde_json::from_slice(text).map_err(failed)
    }

    /// The entry of a file, by its path in the bundle.
    pub fn output(&self, path: &str) -> Option<&Entry> {
        self.outputs.iter().find(|e| e.path == path)
    }
}
