//! Makes the bundle of a cluster: all that its nodes boot from, in one directory.
//!
//! ```text
//! Cluster --Topology, acpi, command_line--> staging directory --seal--> check --rename--> bundle
//! kernel, initrd ------------copy---------^
//! ```
//!
//! The directory's form is pangea-manifest's. The same cluster and guest files give the same bytes
//! in any directory on any host: nothing here looks at a clock, an environment or a machine. A
//! bundle appears whole or not at all, and was opened as a node will open it before it appears.

mod command_line;
mod directory;
mod error;
mod kernel;

pub use command_line::{DEFAULTS, Token, command_line};
pub use error::BundleError;

use directory::Staging;
use pangea_manifest::{Bundle, Digest, Manifest, Source, cluster_json, digest_file, files};
use pangea_topology::{Cluster, Topology};
use std::fmt;
use std::path::{Path, PathBuf};

/// What the guest boots.
#[derive(Clone, Debug)]
pub struct GuestFiles {
    /// A bzImage, or a PVH ELF image.
    pub kernel: Input,
    /// An initramfs, if there is one.
    pub initrd: Option<Input>,
}

/// A file that goes into the bundle.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where it is now. Only its file name is recorded.
    pub path: PathBuf,
    /// Where it came from.
    pub source: Source,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Bytes done of it.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// The parts of a build, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Copying the kernel.
    Kernel,
    /// Copying the initramfs.
    Initrd,
    /// Writing tables, map and description.
    Tables,
    /// Digesting all, and opening the result as a node does.
    Check,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Kernel => "copying the kernel",
            Step::Initrd => "copying the initramfs",
            Step::Tables => "writing tables and map",
            Step::Check => "checking the bundle",
        })
    }
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Where it is.
    pub dir: PathBuf,
    /// SHA-256 of its manifest: the bundle's name among nodes.
    pub id: Digest,
    /// Its files, each with size and SHA-256.
    pub manifest: Manifest,
}

/// Builds the bundle of a cluster in `out`, which must not exist, be empty, or hold an older bundle
/// and nothing else.
///
/// # Panics
/// If the cluster breaks a limit: only a cluster whose [`Cluster::check`] passed has a map.
pub fn build(
    cluster: &Cluster,
    guest: GuestFiles,
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, BundleError> {
    let topology = Topology::of(cluster);
    let tables = pangea_acpi::tables(cluster, &topology)?;
    kernel::check(&guest.kernel.path)?;
    let staging = Staging::beside(out)?;

    let mut inputs = Vec::new();
    let initrd = guest.initrd.map(|initrd| (Step::Initrd, files::INITRD, initrd));
    for (step, name, input) in
        [(Step::Kernel, files::KERNEL, guest.kernel)].into_iter().chain(initrd)
    {
        let path = staging.copy(&input.path, name, |done, total| {
            progress(Progress { step, done, total });
        })?;
        // Of the copy: what is recorded is what is in the bundle, whatever became of the source.
        let (sha256, size) = digest_file(&path)?;
        let file_name = input.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (role, source) = (name.to_owned(), input.source);
        inputs.push(pangea_manifest::Input { role, name: file_name, source, sha256, size });
    }

    let total = tables.blob.len() as u64;
    progress(Progress { step: Step::Tables, done: 0, total });
    staging.write(files::CLUSTER, cluster_json(cluster).as_bytes())?;
    staging.write(files::MAP, topology.layout_text().as_bytes())?;
    staging.write(files::CMDLINE, format!("{}\n", command_line(cluster)).as_bytes())?;
    staging.write(files::ACPI_TABLES, &tables.blob)?;
    for (signature, bytes) in &tables.named {
        staging.write(&format!("{}/{signature}.aml", files::ACPI_DIR), bytes)?;
    }
    progress(Progress { step: Step::Tables, done: total, total });

    let total = inputs.iter().map(|i| i.size).sum();
    progress(Progress { step: Step::Check, done: 0, total });
    let manifest = staging.seal(cluster, inputs)?;
    let id = Digest(Bundle::open(staging.path())?.id());
    staging.publish(out)?;
    progress(Progress { step: Step::Check, done: total, total });
    Ok(Summary { dir: out.to_owned(), id, manifest })
}
