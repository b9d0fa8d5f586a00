//! A sealed directory opens; one that was tampered with doesn't, and the error says what is wrong
//! and what to do.
#![allow(clippy::unwrap_used)]

use pangea_manifest::{
    Bundle, BundleError, Digest, Entry, Input, Manifest, Source, cluster_json, files,
};
use pangea_topology::{Cluster, Failure, Guest, Links, Node, Topology};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn duo() -> Cluster {
    let node = |name: &str| Node {
        name: name.into(),
        address: "127.0.0.1".into(),
        vcpus: 1,
        memory: 256 << 20,
    };
    Cluster {
        name: "duo".into(),
        guest: Guest::default(),
        nodes: vec![node("a"), node("b")],
        links: Links::default(),
        failure: Failure::default(),
    }
}

/// The files of a bundle; kernel and tables only as far as a bundle looks into them.
fn fill(dir: &Path, cluster: &Cluster) {
    fs::create_dir(dir.join(files::ACPI_DIR)).unwrap();
    let write = |path: &str, bytes: &[u8]| fs::write(dir.join(path), bytes).unwrap();
    write(files::CLUSTER, cluster_json(cluster).as_bytes());
    write(files::MAP, Topology::of(cluster).layout_text().as_bytes());
    write(files::ACPI_TABLES, b"RSD PTR and the rest");
    write("acpi/SRAT.aml", b"SRAT");
    write(files::KERNEL, b"kernel");
    write(files::INITRD, b"initrd");
    write(files::CMDLINE, b"console=ttyS0\n");
}

fn inputs() -> Vec<Input> {
    let input = |role: &str, source| Input {
        role: role.into(),
        name: role.into(),
        source,
        sha256: Digest::of(role.as_bytes()),
        size: role.len() as u64,
    };
    let package = Source::Package { name: "linux-image".into(), version: "6.12.95-1".into() };
    vec![input("kernel", package), input("initrd", Source::File("my.cpio".into()))]
}

/// Writes the manifest, as a builder does in the end.
fn seal(dir: &Path, inputs: Vec<Input>) {
    let manifest = Manifest::describe(dir, &duo(), "0.1.0", inputs).unwrap();
    fs::write(dir.join(files::MANIFEST), manifest.to_json()).unwrap();
}

fn sealed() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &duo());
    seal(dir.path(), inputs());
    dir
}

/// The error, with the directory's name and the usual advice taken out.
fn report(dir: &Path) -> String {
    let text = Bundle::open(dir).unwrap_err().to_string();
    let again = "run `cargo xtask image --cluster FILE --out DIR` to build the bundle again";
    text.replace(&dir.display().to_string(), "DIR").replace(again, "REBUILD")
}

#[test]
fn a_sealed_bundle_opens_and_says_what_was_put_in() {
    let dir = sealed();
    let bundle = Bundle::open(dir.path()).unwrap();
    assert_eq!(bundle.cluster(), &duo());
    assert_eq!(bundle.topology(), &Topology::of(&duo()));
    assert_eq!(bundle.acpi(), b"RSD PTR and the rest");
    assert_eq!(bundle.kernel(), dir.path().join("kernel"));
    assert_eq!(bundle.initrd(), Some(dir.path().join("initrd").as_path()));
    assert_eq!(bundle.command_line(), "console=ttyS0");
    assert_eq!(bundle.manifest().inputs, inputs());
    let manifest = fs::read(dir.path().join("manifest.json")).unwrap();
    assert_eq!(bundle.id(), Digest::of(&manifest).0);
}

#[test]
fn two_directories_give_one_manifest_without_paths_of_the_machine() {
    let texts =
        [sealed(), sealed()].map(|d| fs::read_to_string(d.path().join("manifest.json")).unwrap());
    assert_eq!(texts[0], texts[1]);
    assert!(!texts[0].contains(std::env::temp_dir().to_str().unwrap()));
    let dir = sealed();
    let again = Manifest::describe(dir.path(), &duo(), "0.1.0", inputs()).unwrap();
    assert_eq!(again.to_json(), texts[0], "the manifest doesn't list itself");
}

#[test]
fn an_initrd_may_be_absent() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &duo());
    fs::remove_file(dir.path().join("initrd")).unwrap();
    seal(dir.path(), vec![]);
    assert_eq!(Bundle::open(dir.path()).unwrap().initrd(), None);
}

#[test]
fn nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    let text = "no bundle in DIR: it has no manifest.json; run `cargo xtask image --cluster FILE --out DIR` to build one";
    assert_eq!(report(dir.path()), text);
    let error = Bundle::open(&dir.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, BundleError::Missing { .. }));
}

#[test]
fn every_listed_file_is_checked() {
    let listed = Manifest::from_json(
        &fs::read(sealed().path().join("manifest.json")).unwrap(),
        Path::new("m"),
    );
    for entry in listed.unwrap().outputs {
        let dir = sealed();
        let path = dir.path().join(&entry.path);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let text = report(dir.path());
        assert!(text.starts_with(&format!("DIR/{} has SHA-256 ", entry.path)), "{text}");
        assert!(text.ends_with(&format!("the manifest says {}; REBUILD", entry.sha256)), "{text}");

        bytes.push(0);
        fs::write(&path, &bytes).unwrap();
        let (found, size) = (entry.size + 1, entry.size);
        let text =
            format!("DIR/{} has {found} bytes, the manifest says {size}; REBUILD", entry.path);
        assert_eq!(report(dir.path()), text);

        fs::remove_file(&path).unwrap();
        let text = format!(
            "can't read DIR/{}: No such file or directory (os error 2); REBUILD",
            entry.path
        );
        assert_eq!(report(dir.path()), text);

        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert_eq!(report(dir.path()), format!("DIR/{} isn't a regular file; REBUILD", entry.path));
    }
}

/// A bundle whose manifest was written by someone else.
fn forged(edit: impl FnOnce(&mut Manifest)) -> String {
    let dir = sealed();
    let path = dir.path().join("manifest.json");
    let mut manifest = Manifest::from_json(&fs::read(&path).unwrap(), &path).unwrap();
    edit(&mut manifest);
    fs::write(&path, manifest.to_json()).unwrap();
    report(dir.path())
}

#[test]
fn a_manifest_only_claims() {
    let outside = "a path stays in the bundle's directory and has no empty parts";
    let letters = "a path is letters, digits and . - _ /";
    for (path, why) in [
        ("../kernel", outside),
        ("acpi/../../kernel", outside),
        ("acpi//tables.bin", outside),
        ("./kernel", outside),
        ("/etc/passwd", "a path is relative to the bundle's directory"),
        ("manifest.json", "a manifest doesn't list itself"),
        ("", "a path has 1 to 128 bytes"),
        ("kernel 2", letters),
        ("c:\\kernel", letters),
    ] {
        let entry = |path: &str| Entry { path: path.into(), sha256: Digest::of(b""), size: 0 };
        let text = forged(|m| m.outputs = vec![entry(path)]);
        let shown = path.escape_debug();
        assert_eq!(text, format!("the manifest lists the path `{shown}`: {why}; REBUILD"));
    }
    let twice = forged(|m| m.outputs.push(m.outputs.last().unwrap().clone()));
    assert_eq!(
        twice,
        "the manifest lists the path `map.txt`: paths are listed once, in ascending order; REBUILD"
    );
    let many = forged(|m| m.outputs = vec![m.outputs[0].clone(); 257]);
    assert_eq!(many, "the manifest lists 257 files, at most 256 are read; REBUILD");
    let text = "DIR/manifest.json has version 2, this program reads version 1; build the bundle and the program from the same release";
    assert_eq!(forged(|m| m.version = 2), text);
    let text = "the manifest is of cluster `trio`, cluster.json of `duo`; REBUILD";
    assert_eq!(forged(|m| m.cluster = "trio".into()), text);
    let text = forged(|m| m.layout_sha256 = Digest([0; 32]));
    assert!(text.starts_with("this program's map of the cluster has SHA-256 "), "{text}");
    for path in [files::CLUSTER, files::MAP, files::ACPI_TABLES, files::KERNEL, files::CMDLINE] {
        let text = forged(|m| m.outputs.retain(|e| e.path != path));
        assert_eq!(text, format!("the manifest doesn't list `{path}`; REBUILD"));
    }
}

/// A bundle that was sealed over this file.
fn built_with(path: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &duo());
    fs::write(dir.path().join(path), bytes).unwrap();
    seal(dir.path(), vec![]);
    report(dir.path())
}

#[test]
fn files_are_what_their_names_say() {
    let text = built_with(files::MAP, b"another map");
    assert!(
        text.ends_with(&format!("the bundle's {}; REBUILD", Digest::of(b"another map"))),
        "{text}"
    );
    let text = "acpi/tables.bin doesn't begin with an RSDP; REBUILD";
    assert_eq!(built_with(files::ACPI_TABLES, b"FACP"), text);
    let text = "cmdline isn't one line of printable ASCII: byte 1 is 0x0a; REBUILD";
    assert_eq!(built_with(files::CMDLINE, b"a\nb\n"), text);
    let text = "DIR/cmdline has 2049 bytes, at most 2048 are read; REBUILD";
    assert_eq!(built_with(files::CMDLINE, &[b'a'; 2049]), text);
    let mut big = duo();
    big.nodes[1].memory = 1 << 20;
    let text = "cluster.json isn't a cluster: nodes[1].memory: 1 MiB: memory is a multiple of 2 MiB; the nearest is 2 MiB; REBUILD";
    assert_eq!(built_with(files::CLUSTER, cluster_json(&big).as_bytes()), text);
    let text = built_with(files::CLUSTER, b"{}");
    assert_eq!(
        text,
        "DIR/cluster.json isn't well formed: missing field `name` at line 1 column 2; REBUILD"
    );
}

#[test]
fn a_name_that_no_bundle_has_is_refused_when_sealing() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &duo());
    fs::write(dir.path().join("odd name"), b"").unwrap();
    let error = Manifest::describe(dir.path(), &duo(), "0.1.0", vec![]).unwrap_err();
    assert!(matches!(error, BundleError::BadPath { .. }), "{error}");
}
