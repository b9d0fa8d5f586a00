//! What can be wrong with a bundle. Each error is one line that ends with what to do next, so a cause
//! stands within the line and isn't a `source()` besides.

use crate::{Digest, Manifest, VERSION};
use pangea_topology::Violation;
use std::io;
use std::path::PathBuf;

/// The next action, nearly always.
const REBUILD: &str = "run `cargo xtask image --cluster FILE --out DIR` to build the bundle again";

/// Why a directory isn't a bundle that may run.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no manifest there.
    #[error("no bundle in {}: it has no manifest.json; run `cargo xtask image --cluster FILE --out {}` to build one", dir.display(), dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// The system couldn't read a file or directory.
    #[error("can't read {}: {cause}; {REBUILD}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A link, a directory or a device where a file should be.
    #[error("{} isn't a regular file; {REBUILD}", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// A file over its limit.
    #[error("{} has {size} bytes, at most {limit} are read; {REBUILD}", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A JSON file that isn't what it should be; the cause has line and column.
    #[error("{} isn't well formed: {cause}; {REBUILD}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// Where and why.
        cause: serde_json::Error,
    },
    /// A manifest of another version.
    #[error("{} has version {found}, this program reads version {VERSION}; build the bundle and the program from the same release", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// More files than a bundle may hold.
    #[error(
        "the manifest lists {count} files, at most {} are read; {REBUILD}",
        Manifest::MAX_OUTPUTS
    )]
    TooMany {
        /// How many it lists.
        count: usize,
    },
    /// A path that doesn't stay in the bundle, or is written in an odd way.
    #[error("the manifest lists the path `{path}`: {why}; {REBUILD}")]
    BadPath {
        /// The path as the manifest has it.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file that every bundle has isn't in the manifest.
    #[error("the manifest doesn't list `{path}`; {REBUILD}")]
    Unlisted {
        /// Which.
        path: &'static str,
    },
    /// A file of another size than the manifest says.
    #[error("{} has {found} bytes, the manifest says {expected}; {REBUILD}", path.display())]
    Size {
        /// Which.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The manifest's.
        expected: u64,
    },
    /// A file with other bytes than the manifest says.
    #[error("{} has SHA-256 {found}, the manifest says {expected}; {REBUILD}", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
        /// Its digest.
        found: Digest,
        /// The manifest's.
        expected: Digest,
    },
    /// The description breaks a limit.
    #[error("cluster.json isn't a cluster: {0}; {REBUILD}")]
    Cluster(Violation),
    /// The manifest is of another cluster than the description.
    #[error("the manifest is of cluster `{manifest}`, cluster.json of `{cluster}`; {REBUILD}")]
    Name {
        /// The manifest's name.
        manifest: String,
        /// The description's name.
        cluster: String,
    },
    /// This program lays the cluster out in another way than the one that built the bundle.
    #[error(
        "this program's map of the cluster has SHA-256 {found}, the bundle's {expected}; {REBUILD}"
    )]
    Layout {
        /// What this program computes.
        found: Digest,
        /// What the bundle was built for.
        expected: Digest,
    },
    /// The file with the ACPI tables doesn't begin with an RSDP (ACPI 6.5 5.2.5.3).
    #[error("acpi/tables.bin doesn't begin with an RSDP; {REBUILD}")]
    NoRsdp,
    /// The command line isn't printable ASCII on one line.
    #[error("cmdline isn't one line of printable ASCII: byte {at} is {byte:#04x}; {REBUILD}")]
    CommandLine {
        /// Offset of the odd byte.
        at: usize,
        /// The odd byte.
        byte: u8,
    },
}
