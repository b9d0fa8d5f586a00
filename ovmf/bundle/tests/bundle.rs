//! Bundles as a user finds them on disk: whole, the same wherever they are built, never in the place
//! of something else.

#![allow(clippy::unwrap_used)]

use pangea_bundle::{BundleError, GuestFiles, Input, Progress, Step, build, command_line};
use pangea_manifest::{Bundle, Source};
use pangea_topology::{Cluster, Failure, Guest, Links, Node, Topology};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn duo() -> Cluster {
    let node = |name: &str, vcpus, mib: u64| Node {
        name: name.to_owned(),
        address: "127.0.0.1".to_owned(),
        vcpus,
        memory: mib << 20,
    };
    Cluster {
        name: "duo".to_owned(),
        guest: Guest { command_line: "quiet".to_owned(), ..Guest::default() },
        nodes: vec![node("a", 2, 512), node("b", 1, 256)],
        links: Links::default(),
        failure: Failure::default(),
    }
}

/// A kernel's boot header and some bytes, and an initramfs of a few, in a directory of their own.
fn guest(dir: &Path) -> GuestFiles {
    let mut kernel = vec![0x5A; 3 << 20];
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x206..0x208].copy_from_slice(&0x020F_u16.to_le_bytes());
    kernel[0x236..0x238].copy_from_slice(&1_u16.to_le_bytes());
    let (at, initrd) = (dir.join("vmlinuz-6.1"), dir.join("initrd.img"));
    fs::write(&at, kernel).unwrap();
    fs::write(&initrd, b"070701").unwrap();
    let (name, version) = ("linux-image-amd64".to_owned(), "6.1".to_owned());
    GuestFiles {
        kernel: Input { path: at, source: Source::Package { name, version } },
        initrd: Some(Input { path: initrd, source: Source::File("initrd.img".to_owned()) }),
    }
}

fn built(dir: &Path, out: &Path) -> Result<pangea_bundle::Summary, BundleError> {
    build(&duo(), guest(dir), out, &mut |_| {})
}

/// Every file below a directory, with its bytes and mode.
fn files(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            let name = path.strip_prefix(dir).unwrap().to_owned();
            found.insert(name, (fs::read(&path).unwrap(), mode));
        }
    }
    found
}

/// What is in a directory besides these.
fn others(dir: &Path, known: &[&str]) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !known.contains(&name.as_str())).collect()
}

#[test]
fn a_bundle_is_what_a_node_opens() {
    let (inputs, outputs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let out = outputs.path().join("deep/duo");
    let summary = built(inputs.path(), &out).unwrap();
    let bundle = Bundle::open(&out).unwrap();
    assert_eq!((bundle.id(), &summary.dir), (summary.id.0, &out));
    assert_eq!(bundle.cluster(), &duo());
    assert_eq!(bundle.command_line(), command_line(&duo()));
    let topology = Topology::of(&duo());
    let tables = pangea_acpi::tables(&duo(), &topology).unwrap();
    assert_eq!(bundle.acpi(), tables.blob);
    assert_eq!(fs::read(out.join("acpi/SRAT.aml")).unwrap(), tables.get("SRAT").unwrap());
    let names: Vec<PathBuf> = files(&out).into_keys().collect();
    let tables = ["APIC", "DSDT", "FACP", "FACS", "HMAT", "RSDP", "SLIT", "SRAT", "XSDT"];
    let mut expected: Vec<PathBuf> =
        tables.iter().map(|t| format!("acpi/{t}.aml").into()).collect();
    let rest = ["cluster.json", "cmdline", "initrd", "kernel", "manifest.json", "map.txt"];
    expected.push("acpi/tables.bin".into());
    expected.extend(rest.map(PathBuf::from));
    assert_eq!(names, expected);
    assert_eq!(others(&outputs.path().join("deep"), &["duo"]), [""; 0], "nothing left beside it");
}

#[test]
fn built_twice_in_two_directories_it_is_the_same() {
    let (a, b) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = built(a.path(), &a.path().join("one")).unwrap();
    let second = built(b.path(), &b.path().join("another-name")).unwrap();
    assert_eq!(first.id, second.id);
    let (first, second) = (files(&a.path().join("one")), files(&b.path().join("another-name")));
    assert!(first == second, "the bytes or modes of some file differ");
    for (name, (bytes, mode)) in first {
        assert_eq!(mode, 0o644, "{}", name.display());
        let here = a.path().to_str().unwrap().as_bytes();
        let leaks = bytes.windows(here.len()).any(|w| w == here);
        assert!(!leaks, "{} names the directory that it was built in", name.display());
    }
}

#[test]
fn the_manifest_says_where_the_guest_came_from() {
    let dir = TempDir::new().unwrap();
    let summary = built(dir.path(), &dir.path().join("duo")).unwrap();
    let inputs: Vec<_> =
        summary.manifest.inputs.iter().map(|i| (i.role.as_str(), i.name.as_str())).collect();
    assert_eq!(inputs, [("kernel", "vmlinuz-6.1"), ("initrd", "initrd.img")]);
    for (input, file) in summary.manifest.inputs.iter().zip(["kernel", "initrd"]) {
        assert_eq!(Some(input.sha256), summary.manifest.output(file).map(|e| e.sha256));
    }
}

#[test]
fn a_newer_bundle_takes_the_place_of_an_older_one() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("duo");
    let old = built(dir.path(), &out).unwrap();
    let cluster = Cluster { guest: Guest::default(), ..duo() };
    let without = GuestFiles { initrd: None, ..guest(dir.path()) };
    let new = build(&cluster, without, &out, &mut |_| {}).unwrap();
    assert_ne!(old.id, new.id);
    let bundle = Bundle::open(&out).unwrap();
    assert_eq!((bundle.id(), bundle.initrd()), (new.id.0, None));
    assert!(!out.join("initrd").exists(), "nothing is left of the older one");
    assert_eq!(others(dir.path(), &["duo", "vmlinuz-6.1", "initrd.img"]), [""; 0]);
}

#[test]
fn an_empty_directory_is_filled() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("duo");
    fs::create_dir(&out).unwrap();
    built(dir.path(), &out).unwrap();
    Bundle::open(&out).unwrap();
}

#[test]
fn what_is_no_bundle_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("home");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.tex"), "years").unwrap();
    let error = built(dir.path(), &out).unwrap_err().to_string();
    assert_eq!(
        error.replace(&dir.path().display().to_string(), "DIR"),
        "DIR/home isn't a bundle: it holds DIR/home/thesis.tex; name another directory, or remove \
         it first"
    );
    assert_eq!(fs::read_to_string(out.join("thesis.tex")).unwrap(), "years");
}

#[test]
fn a_bundle_with_a_file_of_the_users_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("duo");
    built(dir.path(), &out).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let error = built(dir.path(), &out).unwrap_err();
    assert!(
        matches!(&error, BundleError::Occupied { found, .. } if found.ends_with("notes.txt")),
        "{error}"
    );
    assert!(out.join("notes.txt").exists() && out.join("manifest.json").exists());
}

#[test]
fn a_build_that_fails_leaves_the_older_bundle_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("duo");
    let old = built(dir.path(), &out).unwrap();
    let mut broken = guest(dir.path());
    let gone = dir.path().join("gone.img");
    broken.initrd = Some(Input { path: gone.clone(), source: Source::File("gone.img".to_owned()) });
    let error = build(&duo(), broken, &out, &mut |_| {}).unwrap_err();
    assert!(matches!(&error, BundleError::Read { path, .. } if *path == gone), "{error}");
    assert_eq!(Bundle::open(&out).unwrap().id(), old.id.0);
    assert_eq!(others(dir.path(), &["duo", "vmlinuz-6.1", "initrd.img"]), [""; 0]);
}

#[test]
fn a_bundle_grows_out_of_sight_and_without_a_manifest() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("duo");
    let mut seen = Vec::new();
    build(&duo(), guest(dir.path()), &out, &mut |p| {
        if p.step != Step::Check {
            let staging = others(dir.path(), &["duo", "vmlinuz-6.1", "initrd.img"]);
            let manifest = dir.path().join(&staging[0]).join("manifest.json");
            assert!(!out.exists() && !manifest.exists());
        }
        seen.push(p);
    })
    .unwrap();
    for step in [Step::Kernel, Step::Initrd, Step::Tables, Step::Check] {
        let of: Vec<&Progress> = seen.iter().filter(|p| p.step == step).collect();
        let (first, last) = (of[0], of[of.len() - 1]);
        assert!(first.done == 0 && last.done == last.total && last.total > 0, "{step}");
        assert!(of.is_sorted_by_key(|p| p.done), "{step}");
    }
    assert!(seen.iter().filter(|p| p.step == Step::Kernel).count() > 3, "3 MiB in steps");
}

#[test]
fn a_place_without_a_name_is_refused() {
    let dir = TempDir::new().unwrap();
    let error = built(dir.path(), Path::new("/")).unwrap_err();
    assert!(matches!(error, BundleError::Nameless { .. }), "{error}");
}
