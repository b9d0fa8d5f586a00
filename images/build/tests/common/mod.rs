//! What the tests of images share: real packages, the probe, and a look into an archive.
#![allow(dead_code, clippy::unwrap_used)] // Each test program uses its part.

use pangea_images::{Packages, Role, probe};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of this system; the message of a failure says what is missing.
pub(crate) fn packages() -> Packages {
    let mut packages = Packages::open(&Packages::default_cache()).unwrap();
    let fetched = packages.fetch(Role::Busybox, &mut |_| {});
    fetched.map(drop).unwrap_or_else(|error| panic!("this test needs packages: {error}"));
    packages
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
