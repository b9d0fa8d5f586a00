//! The default Linux guest: the distribution's kernel for virtual machines, and an initramfs with
//! busybox, the probe and `images/linux/init`.
//!
//! The initramfs needs no kernel modules, so it goes with any kernel that has an 8250 console and
//! devtmpfs built in.

use crate::busybox;
use crate::cpio::Archive;
use crate::kernel;
use crate::{ImageError, Packages, Progress, Result, Role};
use std::fs;
use std::path::{Path, PathBuf};

/// The first process: see the comments in the file.
const INIT: &str = include_str!("../../linux/init");

/// What a Linux guest boots from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestImage {
    /// The bzImage: a file in the package cache.
    pub kernel: PathBuf,
    /// Where it is from: package, version, SHA-256.
    pub kernel_source: String,
    /// The initramfs: a file in the output directory.
    pub initrd: PathBuf,
    /// Where it is from.
    pub initrd_source: String,
}

/// The default kernel and the default initramfs, which is written to `out/initrd`.
pub fn build(
    packages: &mut Packages,
    probe: &Path,
    out: &Path,
    progress: Progress<'_>,
) -> Result<GuestImage> {
    let (kernel, kernel_source) = kernel(packages, progress)?;
    let (initrd, initrd_source) = initrd(packages, probe, out, progress)?;
    Ok(GuestImage { kernel, kernel_source, initrd, initrd_source })
}

/// The default kernel alone, and where it is from: for a cluster that brings its own initramfs.
pub fn kernel(packages: &mut Packages, progress: Progress<'_>) -> Result<(PathBuf, String)> {
    let package = packages.fetch(Role::GuestKernel, progress)?;
    Ok((kernel::kernel_image(&package)?.vmlinuz, package.source()))
}

/// The default initramfs alone, written to `out/initrd`: for a cluster that brings its own kernel.
pub fn initrd(
    packages: &mut Packages,
    probe: &Path,
    out: &Path,
    progress: Progress<'_>,
) -> Result<(PathBuf, String)> {
    let mut archive = Archive::new();
    let busybox = busybox::install(&mut archive, packages, progress)?;
    archive.host_file("probe", 0o755, probe)?;
    archive.file("init", 0o755, INIT.into())?;
    fs::create_dir_all(out).map_err(ImageError::io("create", out))?;
    let path = out.join("initrd");
    archive.write(&path)?;
    Ok((path, format!("images/linux/init, images/probe, {busybox}")))
}
