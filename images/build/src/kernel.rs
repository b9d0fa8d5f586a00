//! Where a distribution's kernel package keeps its kernel and its modules.
//!
//! Debian and Ubuntu put the kernel at `boot/vmlinuz-VERSION`; modules lie in
//! `lib/modules/VERSION`, or below `usr/` since Debian 13.

use crate::{ImageError, Package, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A kernel, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// The bzImage.
    pub vmlinuz: PathBuf,
    /// The directory of its modules: `…/lib/modules/VERSION`.
    pub modules: PathBuf,
    /// Its version, as `uname -r` will say.
    pub version: String,
}

/// The kernel in an unpacked kernel package.
pub fn kernel_image(package: &Package) -> Result<KernelImage> {
    in_root(&package.root)
}

fn in_root(root: &Path) -> Result<KernelImage> {
    let boot = root.join("boot");
    let mut found = Vec::new();
    for entry in fs::read_dir(&boot).map_err(ImageError::io("list", &boot))? {
        let path = entry.map_err(ImageError::io("list", &boot))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(version) = name.strip_prefix("vmlinuz-") {
            found.push((version.to_owned(), path.clone()));
        }
    }
    let [(version, vmlinuz)] = found.as_slice() else {
        let count = found.len();
        return Err(ImageError::content(&boot, format!("holds {count} kernels, not one")));
    };
    let modules = ["usr/lib/modules", "lib/modules"].map(|dir| root.join(dir).join(version));
    match modules.into_iter().find(|dir| dir.is_dir()) {
        Some(modules) => {
            Ok(KernelImage { vmlinuz: vmlinuz.clone(), modules, version: version.clone() })
        }
        None => Err(ImageError::content(root, format!("has no modules for kernel {version}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_places_of_modules_are_known() {
        for lib in ["lib/modules", "usr/lib/modules"] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("boot")).unwrap();
            fs::write(root.path().join("boot/vmlinuz-6.12-amd64"), "").unwrap();
            let without = in_root(root.path()).unwrap_err().to_string();
            assert!(without.ends_with("has no modules for kernel 6.12-amd64"), "{without}");
            fs::create_dir_all(root.path().join(lib).join("6.12-amd64")).unwrap();
            let image = in_root(root.path()).unwrap();
            assert_eq!(image.version, "6.12-amd64");
            assert_eq!(image.modules, root.path().join(lib).join("6.12-amd64"));
        }
    }

    #[test]
    fn a_package_with_two_kernels_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("boot")).unwrap();
        fs::write(root.path().join("boot/vmlinuz-1"), "").unwrap();
        fs::write(root.path().join("boot/vmlinuz-2"), "").unwrap();
        let error = in_root(root.path()).unwrap_err().to_string();
        assert!(error.ends_with("boot holds 2 kernels, not one"), "{error}");
    }
}
