//! The directory while it grows: beside its final place, and renamed when it is whole.
//!
//! ```text
//! out/.duo.XXXXXX/   written, sealed, opened     then renamed to     out/duo/
//! ```
//!
//! A run that dies leaves at most the first, which has no manifest until its last file. Owner-readable
//! modes and nothing of the umask: two users' bundles are alike.

use crate::BundleError;
use pangea_manifest::{Input, Manifest, files};
use pangea_topology::Cluster;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Mode of every file.
const FILE_MODE: u32 = 0o644;
/// Mode of every directory.
const DIR_MODE: u32 = 0o755;
/// Bytes copied between two calls of progress.
const CHUNK: usize = 1 << 20;

/// A bundle that isn't there yet; dropped before [`Staging::publish`], it is removed.
pub(crate) struct Staging {
    dir: TempDir,
}

impl Staging {
    /// An empty directory beside `out`, on the same file system. Refuses before any work an `out`
    /// that must not be replaced.
    pub(crate) fn beside(out: &Path) -> Result<Staging, BundleError> {
        let nameless = || BundleError::Nameless { dir: out.to_owned() };
        let name = out.file_name().ok_or_else(nameless)?.to_string_lossy();
        replaceable(out)?;
        let parent = parent(out);
        fs::create_dir_all(parent).map_err(BundleError::write(parent))?;
        let dir = tempfile::Builder::new().prefix(&format!(".{name}.")).tempdir_in(parent);
        let dir = dir.map_err(BundleError::write(parent))?;
        let acpi = dir.path().join(files::ACPI_DIR);
        fs::create_dir(&acpi).map_err(BundleError::write(&acpi))?;
        for dir in [dir.path(), &acpi] {
            mode(dir, DIR_MODE)?;
        }
        Ok(Staging { dir })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file of the bundle.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let path = self.path().join(name);
        fs::write(&path, bytes).map_err(BundleError::write(&path))?;
        mode(&path, FILE_MODE)
    }

    /// Copies a file into the bundle and tells its path there.
    pub(crate) fn copy(
        &self,
        from: &Path,
        name: &str,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<PathBuf, BundleError> {
        let path = self.path().join(name);
        let mut source = File::open(from).map_err(BundleError::read(from))?;
        let total = source.metadata().map_err(BundleError::read(from))?.len();
        let mut target = File::create(&path).map_err(BundleError::write(&path))?;
        let (mut done, mut chunk) = (0, vec![0; CHUNK]);
        progress(done, total);
        loop {
            let n = match source.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(BundleError::read(from)(e)),
            };
            target.write_all(&chunk[..n]).map_err(BundleError::write(&path))?;
            done += n as u64;
            progress(done, total.max(done));
        }
        mode(&path, FILE_MODE)?;
        Ok(path)
    }

    /// Writes the manifest, the last file.
    pub(crate) fn seal(
        &self,
        cluster: &Cluster,
        inputs: Vec<Input>,
    ) -> Result<Manifest, BundleError> {
        let version = env!("CARGO_PKG_VERSION");
        let manifest = Manifest::describe(self.path(), cluster, version, inputs)?;
        self.write(files::MANIFEST, manifest.to_json().as_bytes())?;
        Ok(manifest)
    }

    /// Puts the directory in its place. An older bundle steps aside until the new one is there.
    pub(crate) fn publish(self, out: &Path) -> Result<(), BundleError> {
        let failed = BundleError::write(out);
        let mut older = None;
        if out.exists() {
            replaceable(out)?;
            let aside = tempfile::Builder::new().prefix(".replaced.").tempdir_in(parent(out));
            let aside = aside.map_err(BundleError::write(parent(out)))?;
            fs::rename(out, aside.path()).map_err(BundleError::write(out))?;
            older = Some(aside);
        }
        let renamed = fs::rename(self.path(), out);
        if let (Err(_), Some(older)) = (&renamed, &older) {
            // The first error is the one to tell, whatever becomes of this.
            let _ = fs::rename(older.path(), out);
        }
        renamed.map_err(failed)?;
        // It has left its place: nothing to remove.
        let _ = self.dir.keep();
        Ok(())
    }
}

/// The directory in which `out` is.
fn parent(out: &Path) -> &Path {
    match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn mode(path: &Path, mode: u32) -> Result<(), BundleError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(BundleError::write(path))
}

/// May this directory be replaced? If it isn't there, is empty, or holds a bundle of ours and
/// nothing that the bundle doesn't list.
fn replaceable(out: &Path) -> Result<(), BundleError> {
    let occupied =
        |found: &Path| BundleError::Occupied { dir: out.to_owned(), found: found.to_owned() };
    match out.symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(BundleError::read(out)(e)),
        Ok(meta) if !meta.is_dir() => return Err(occupied(out)),
        Ok(_) => {}
    }
    let mut found = Vec::new();
    list(out, &mut found)?;
    found.sort();
    let Some(first) = found.first() else { return Ok(()) };
    let at = out.join(files::MANIFEST);
    let manifest = fs::read(&at).ok().and_then(|text| Manifest::from_json(&text, &at).ok());
    let manifest = manifest.ok_or_else(|| occupied(first))?;
    let ours = |path: &&PathBuf| {
        let name = path.strip_prefix(out).ok().and_then(Path::to_str);
        name.is_some_and(|name| name == files::MANIFEST || manifest.output(name).is_some())
    };
    found.iter().find(|path| !ours(path)).map_or(Ok(()), |path| Err(occupied(path)))
}

/// Every file below a directory.
fn list(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), BundleError> {
    for entry in fs::read_dir(dir).map_err(BundleError::read(dir))? {
        let entry = entry.map_err(BundleError::read(dir))?;
        if entry.file_type().map_err(BundleError::read(dir))?.is_dir() {
            list(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}
