//! A bundle whose every byte was checked: the only way to one is [`Bundle::open`].

use crate::{BundleError, Digest, Entry, Manifest, digest_file, files, path};
use pangea_topology::{Cluster, Topology, layout};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes of the largest `cluster.json` and `map.txt`: 64 nodes and all 2,016 pairs are half of it.
const MAX_TEXT: u64 = 1 << 20;
/// Bytes of the longest command line: what Linux on x86 reads (`COMMAND_LINE_SIZE`), without its end.
const MAX_CMDLINE: u64 = 2047;
/// What an RSDP begins with (ACPI 6.5 5.2.5.3 "Root System Description Pointer Structure").
const RSDP_SIGNATURE: &[u8; 8] = b"RSD PTR ";

/// What the machine boots from, checked.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    id: Digest,
    cluster: Cluster,
    topology: Topology,
    acpi: Vec<u8>,
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    command_line: String,
}

/// The text of `cluster.json`: the same cluster always gives the same bytes.
pub fn cluster_json(cluster: &Cluster) -> String {
    let mut text = serde_json::to_string_pretty(cluster).unwrap_or_default();
    text.push('\n');
    text
}

impl Bundle {
    /// Opens the bundle in `dir`, and proves that: the manifest's version is ours; every file that it
    /// lists lies in `dir` and has the size and SHA-256 that it says; no file that a bundle needs is
    /// missing; the description is a cluster within the limits, of the manifest's name; this program
    /// lays it out exactly as the one that built the bundle; ACPI tables and command line are such.
    pub fn open(dir: &Path) -> Result<Bundle, BundleError> {
        let at = dir.join(files::MANIFEST);
        let text = read(&at, Manifest::MAX_LEN).map_err(|e| match e {
            BundleError::Read { cause, .. }
                if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                BundleError::Missing { dir: dir.to_owned() }
            }
            other => other,
        })?;
        let manifest = Manifest::from_json(&text, &at)?;
        check_outputs(dir, &manifest)?;

        let (cluster, topology) = read_cluster(dir, &manifest)?;
        let acpi = read_listed(dir, &manifest, files::ACPI_TABLES, layout::ACPI_LEN)?;
        if !acpi.starts_with(RSDP_SIGNATURE) {
            return Err(BundleError::NoRsdp);
        }
        let command_line = read_command_line(dir, &manifest)?;
        let kernel = dir.join(listed(&manifest, files::KERNEL)?.path.as_str());
        let initrd = manifest.output(files::INITRD).map(|e| dir.join(&e.path));
        let id = Digest::of(&text);
        Ok(Bundle { manifest, id, cluster, topology, acpi, kernel, initrd, command_line })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest, and so of everything: nodes with different ids refuse each other.
    pub fn id(&self) -> [u8; 32] {
        self.id.0
    }

    /// The description, within the limits.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The map.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The ACPI tables, to be loaded at [`Topology::acpi`].
    pub fn acpi(&self) -> &[u8] {
        &self.acpi
    }

    /// The kernel's file.
    pub fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// The initramfs' file.
    pub fn initrd(&self) -> Option<&Path> {
        self.initrd.as_deref()
    }

    /// The kernel's command line, without a line end.
    pub fn command_line(&self) -> &str {
        &self.command_line
    }
}

/// Every file is there, as it was written.
fn check_outputs(dir: &Path, manifest: &Manifest) -> Result<(), BundleError> {
    if manifest.outputs.len() > Manifest::MAX_OUTPUTS {
        return Err(BundleError::TooMany { count: manifest.outputs.len() });
    }
    path::ordered(&manifest.outputs)?;
    for entry in &manifest.outputs {
        let path = path::resolve(dir, entry)?;
        let (found, size) = digest_file(&path)?;
        if size != entry.size {
            return Err(BundleError::Size { path, found: size, expected: entry.size });
        }
        if found != entry.sha256 {
            return Err(BundleError::Changed { path, found, expected: entry.sha256 });
        }
    }
    Ok(())
}

/// The description, and the map that follows from it and must be the bundle's.
fn read_cluster(dir: &Path, manifest: &Manifest) -> Result<(Cluster, Topology), BundleError> {
    let text = read_listed(dir, manifest, files::CLUSTER, MAX_TEXT)?;
    let path = dir.join(files::CLUSTER);
    let cluster: Cluster =
        serde_json::from_slice(&text).map_err(|cause| BundleError::Format { path, cause })?;
    cluster.check().map_err(BundleError::Cluster)?;
    if cluster.name != manifest.cluster {
        let (manifest, cluster) = (manifest.cluster.clone(), cluster.name);
        return Err(BundleError::Name { manifest, cluster });
    }
    let topology = Topology::of(&cluster);
    let found = Digest::of(topology.layout_text().as_bytes());
    let map = Digest::of(&read_listed(dir, manifest, files::MAP, MAX_TEXT)?);
    match [manifest.layout_sha256, map].into_iter().find(|&expected| expected != found) {
        Some(expected) => Err(BundleError::Layout { found, expected }),
        None => Ok((cluster, topology)),
    }
}

fn read_command_line(dir: &Path, manifest: &Manifest) -> Result<String, BundleError> {
    // One more than the line: the file ends with a line end.
    let bytes = read_listed(dir, manifest, files::CMDLINE, MAX_CMDLINE + 1)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if let Some((at, &byte)) = line.iter().enumerate().find(|(_, b)| !matches!(b, b' '..=b'~')) {
        return Err(BundleError::CommandLine { at, byte });
    }
    Ok(line.iter().map(|&b| char::from(b)).collect())
}

fn listed<'a>(manifest: &'a Manifest, path: &'static str) -> Result<&'a Entry, BundleError> {
    manifest.output(path).ok_or(BundleError::Unlisted { path })
}

/// Reads a file that the manifest lists. It was digested before, but may have changed since: what is
/// handed out is checked again.
fn read_listed(
    dir: &Path,
    manifest: &Manifest,
    path: &'static str,
    limit: u64,
) -> Result<Vec<u8>, BundleError> {
    let entry = listed(manifest, path)?;
    let path = dir.join(&entry.path);
    let bytes = read(&path, limit)?;
    match Digest::of(&bytes) {
        found if found == entry.sha256 => Ok(bytes),
        found => Err(BundleError::Changed { path, found, expected: entry.sha256 }),
    }
}

/// Reads a file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let failed = |cause| BundleError::Read { path: path.to_owned(), cause };
    let meta = path.symlink_metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(BundleError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        let size = meta.len().max(bytes.len() as u64);
        return Err(BundleError::TooLarge { path: path.to_owned(), size, limit });
    }
    Ok(bytes)
}
