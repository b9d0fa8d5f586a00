//! What the tests of images share: real packages, the probe, and a look into an archive.
#![allow(dead_code, clippy::unwrap_used)] // Each test program uses its part.

use pangea_images::{ImageError, Packages, Role, probe};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of this system. None where they can't be had: the test then says, by its name,
/// that it didn't run.
pub(crate) fn packages(test: &str) -> Option<Packages> {
    let mut packages = Packages::open(&Packages::default_cache()).unwrap();
    match packages.fetch(Role::Busybox, &mut |_| {}) {
        Ok(_) => Some(packages),
        Err(error @ (ImageError::NoProgram { .. } | ImageError::NoPackage { .. })) => {
            eprintln!("{test} did not run: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The probe of this checkout, freshly built into a directory.
pub(crate) fn probe(dir: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    probe::build(&root, &dir.join("probe"), &mut |_| {}).unwrap()
}

/// What GNU cpio sees in an archive, one line an entry.
pub(crate) fn listing(initrd: &Path) -> String {
    let mut cpio = Command::new("cpio");
    let cpio = cpio.args(["-itv", "--quiet", "--numeric-uid-gid"]);
    let output = cpio.stdin(fs::File::open(initrd).unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The content of one file of an archive.
pub(crate) fn extract(initrd: &Path, path: &str) -> Vec<u8> {
    let mut cpio = Command::new("cpio");
    let cpio = cpio.args(["-i", "--quiet", "--to-stdout", path]);
    cpio.stdin(fs::File::open(initrd).unwrap()).output().unwrap().stdout
}
