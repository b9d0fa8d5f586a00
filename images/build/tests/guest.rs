//! The default guest image: what is in it, twice the same.
#![allow(clippy::unwrap_used)]

mod common;

use pangea_images::guest;
use std::fs;
use std::process::Command;

#[test]
fn the_guest_image_is_the_same_twice_and_holds_what_it_says() {
    let mut packages = common::packages();
    let dir = tempfile::tempdir().unwrap();
    let probe = common::probe(dir.path());
    let build = |packages: &mut _, out: &str| {
        guest::build(packages, &probe, &dir.path().join(out), &mut |_| {}).unwrap()
    };
    let one = build(&mut packages, "a");
    let two = build(&mut packages, "b");
    assert!(fs::read(&one.initrd).unwrap() == fs::read(&two.initrd).unwrap(), "not reproducible");
    assert_eq!(one.kernel, two.kernel);
    let listing = common::listing(&one.initrd);
    for path in ["init", "probe", "bin/busybox", "bin/cttyhack -> busybox", "dev/console"] {
        assert!(listing.lines().any(|line| line.ends_with(path)), "no {path} in\n{listing}");
    }
    // Every link is to an applet that this busybox has.
    let busybox = dir.path().join("busybox");
    fs::write(&busybox, common::extract(&one.initrd, "bin/busybox")).unwrap();
    let loader = Command::new("sh")
        .arg("-c")
        .arg(format!("chmod +x {0} && {0} --list", busybox.display()))
        .output();
    let has = String::from_utf8(loader.unwrap().stdout).unwrap();
    for link in listing.lines().filter_map(|line| line.split_once(" -> busybox")).map(|(l, _)| l) {
        let applet = link.rsplit('/').next().unwrap();
        assert!(has.lines().any(|name| name == applet), "busybox has no {applet}");
    }
}
