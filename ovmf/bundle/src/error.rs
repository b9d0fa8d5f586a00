//! What can go wrong while a bundle is built. Each error is one line that ends with what to do.

use pangea_acpi::AcpiError;
use std::io;
use std::path::{Path, PathBuf};

/// What a node starts.
const USABLE: &str =
    "use a bzImage (a distribution's /boot/vmlinuz-*), or a vmlinux built with CONFIG_PVH";

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The ACPI tables can't be made.
    #[error(transparent)]
    Acpi(#[from] AcpiError),
    /// The finished directory isn't a bundle that a node would open.
    #[error(transparent)]
    Manifest(#[from] pangea_manifest::BundleError),
    /// A file can't be read.
    #[error("can't read {}: {cause}; check the path and its permissions", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {}: {cause}; look at the directory's owner and free space", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The directory to build in holds something else.
    #[error("{} isn't a bundle: it holds {}; name another directory, or remove it first", dir.display(), found.display())]
    Occupied {
        /// The directory.
        dir: PathBuf,
        /// What would have been lost.
        found: PathBuf,
    },
    /// There is no name to build under.
    #[error("{} doesn't name a directory; use a path that ends in a name, such as out/duo", dir.display())]
    Nameless {
        /// What was given.
        dir: PathBuf,
    },
    /// The kernel is something else.
    #[error("{} isn't a Linux kernel: {what}, {size} bytes, beginning with `{first}`; {USABLE}", path.display())]
    NotAKernel {
        /// Which file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// What it looks like.
        what: &'static str,
        /// Its first bytes, in hexadecimal.
        first: String,
    },
    /// The kernel's boot protocol is too old.
    #[error("{} has boot protocol {major}.{minor:02}, at least 2.12 is needed; use Linux 3.8 or later", path.display())]
    OldKernel {
        /// Which file.
        path: PathBuf,
        /// Its protocol, before the dot.
        major: u8,
        /// And after.
        minor: u8,
    },
    /// The kernel is for another machine.
    #[error("{} isn't an x86-64 kernel with a 64-bit entry; {USABLE} for amd64", path.display())]
    Not64Bit {
        /// Which file.
        path: PathBuf,
    },
    /// An ELF file that can't be read as such.
    #[error("{} is a broken ELF file: {cause}; copy it again, or use the bzImage", path.display())]
    BadElf {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// An ELF file without the entry that a node starts.
    #[error("{} is an ELF file without a PVH entry (a Xen note of type 18); {USABLE}", path.display())]
    NotPvh {
        /// Which file.
        path: PathBuf,
    },
}

impl BundleError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
        let path = path.to_owned();
        move |cause| BundleError::Read { path, cause }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
        let path = path.to_owned();
        move |cause| BundleError::Write { path, cause }
    }
}
