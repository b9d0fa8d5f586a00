//! The lab image from the distribution's real packages: what is in it, twice the same.
#![allow(clippy::unwrap_used)]

mod common;

use common::{extract, listing};
use pangea_images::lab::{self, LabSpec};
use pangea_images::libs;
use std::fs;
use std::path::PathBuf;

#[test]
fn a_lab_image_has_kvm_in_load_order_and_a_dynamic_program_with_its_libraries() {
    let mut packages = common::packages();
    let program = std::env::current_exe().unwrap();
    let mut files: Vec<(PathBuf, String, u32)> = vec![(program.clone(), "/bin/it".into(), 0o755)];
    for (host, guest) in libs::closure(&program).unwrap() {
        files.push((host, guest.to_str().unwrap().into(), 0o755));
    }
    let spec = LabSpec { files, init: "#!/bin/sh\npoweroff -f\n".into() };
    let dir = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    let mut progress = |line: &str| said.push(line.to_owned());
    let one =
        lab::build(&mut packages, &spec, &dir.path().join("a/initrd"), &mut progress).unwrap();
    let two = lab::build(&mut packages, &spec, &dir.path().join("b/initrd"), &mut |_| {}).unwrap();
    assert!(fs::read(&one.initrd).unwrap() == fs::read(&two.initrd).unwrap(), "not reproducible");
    assert!(said.iter().any(|line| line == "write the lab host's initramfs"), "{said:?}");
    assert!(one.kernel.is_file());

    let listing = listing(&one.initrd);
    for path in ["init", "bin/busybox", "bin/sh -> busybox", "dev/console", "bin/it"] {
        assert!(listing.lines().any(|line| line.ends_with(path)), "no {path} in\n{listing}");
    }
    let names = listing.lines().filter_map(|line| line.split("lib/modules/").nth(1));
    let names: Vec<_> = names.collect();
    for module in ["kvm.ko", "kvm_amd.ko", "9p.ko", "order"] {
        assert!(names.contains(&module), "no {module} in {names:?}");
    }
    let order = String::from_utf8(extract(&one.initrd, "lib/modules/order")).unwrap();
    let place = |name: &str| order.lines().position(|line| line.ends_with(name));
    assert!(place("/kvm.ko").unwrap() < place("/kvm_amd.ko").unwrap(), "{order}");
    assert_eq!(extract(&one.initrd, "lib/modules/kvm.ko").get(..4), Some(b"\x7fELF".as_slice()));
}
