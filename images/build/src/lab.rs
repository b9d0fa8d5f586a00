//! The lab host's image: what QEMU boots so that real `kvm_amd` is there to run the runtime on.
//!
//! In it: busybox; the modules for KVM on AMD and for the machine's virtio devices, with
//! `/lib/modules/order` naming their files in load order (`while read m; do insmod $m; done`); the
//! caller's files; and the caller's `/init`. `insmod` ends nonzero for hardware that isn't there,
//! which an /init may take as it likes.

use crate::busybox;
use crate::cpio::Archive;
use crate::kernel::{self, KernelImage};
use crate::modules::Modules;
use crate::{ImageError, Packages, Progress, Result, Role};
use std::fs;
use std::path::{Path, PathBuf};

/// What the lab host needs from its kernel's modules, each with its reason.
pub const MODULES: [&str; 5] = [
    "kvm_amd",        // real KVM, on QEMU's emulated SVM
    "virtio_pci",     // QEMU's virtio devices
    "9pnet_virtio",   // the host's directories, shared
    "9p",             // and mounted
    "virtio_console", // a console for each guest beside the host's own
];

/// What a lab image holds besides busybox and modules.
#[derive(Clone, Debug, Default)]
pub struct LabSpec {
    /// (file on this host, path in the image, permission bits).
    pub files: Vec<(PathBuf, String, u32)>,
    /// The text of `/init`, a busybox shell script with its `#!/bin/sh` line.
    pub init: String,
}

/// A lab host, ready for `qemu-system-x86_64 -kernel … -initrd …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabImage {
    /// The bzImage, in the package cache.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initrd: PathBuf,
}

/// Builds a lab image; `out` is the initramfs to write, its directory is made if need be.
pub fn build(
    packages: &mut Packages,
    spec: &LabSpec,
    out: &Path,
    progress: Progress<'_>,
) -> Result<LabImage> {
    let kernel = kernel::kernel_image(&packages.fetch(Role::LabKernel, progress)?)?;
    let mut archive = Archive::new();
    busybox::install(&mut archive, packages, progress)?;
    progress("collect the lab host's kernel modules");
    modules(&mut archive, &kernel)?;
    for (host, guest, mode) in &spec.files {
        archive.host_file(guest, *mode, host)?;
    }
    archive.file("init", 0o755, spec.init.clone().into_bytes())?;
    progress("write the lab host's initramfs");
    if let Some(dir) = out.parent() {
        fs::create_dir_all(dir).map_err(ImageError::io("create", dir))?;
    }
    archive.write(out)?;
    Ok(LabImage { kernel: kernel.vmlinuz, initrd: out.to_owned() })
}

fn modules(archive: &mut Archive, kernel: &KernelImage) -> Result<()> {
    let mut order = String::new();
    for module in Modules::open(&kernel.modules)?.load_order(&MODULES)? {
        let path = format!("/lib/modules/{}.ko", module.name);
        archive.file(&path, 0o644, module.bytes)?;
        order.push_str(&path);
        order.push('\n');
    }
    archive.file("lib/modules/order", 0o644, order.into_bytes())
}
