//! Reading files: what a whole file becomes, and files that can't be read.
#![allow(clippy::unwrap_used)]

use expect_test::expect;
use pangea_schema::{SchemaError, beside, load, parse, render};
use pangea_topology::{Link, NodeId};
use std::fs;
use std::path::Path;

/// Every key of the format.
const FULL: &str = r#"version: 1
name: duo
guest:
  os: linux
  boot: direct
  kernel: images/bzImage
  initrd: images/initrd "x".img
  command-line: quiet loglevel=7 x="a\b"
nodes:
  - name: a
    address: 127.0.0.1
    vcpus: 1
    memory: 512 MiB
  - &b
    name: 'null'
    address: fd00::20
    vcpus: 2
    memory: 0
  - <<: *b
    name: 1e3
    address: host-3.example.org
    vcpus: 0
    memory: 1 GiB
links:
  default: { distance: 30, latency: 50 us, bandwidth: 2 GB/s }
  pairs:
    - between: [1e3, a]
      distance: 12
      latency: 2500 ns
failure:
  peer-deadline: 2 s
"#;

#[test]
fn every_key_is_read_and_written_out_again() {
    let cluster = parse(FULL, "full.yaml").unwrap_or_else(|e| panic!("error: {e}"));
    let text = render::expanded(&cluster);
    expect![[r#"
        version: 1
        name: duo
        guest:
          os: linux
          boot: direct
          kernel: "images/bzImage"
          initrd: "images/initrd \"x\".img"
          command-line: "quiet loglevel=7 x=\"a\\b\""
        nodes:
          - name: a
            address: 127.0.0.1
            vcpus: 1
            memory: 512 MiB
          - name: "null"
            address: "fd00::20"
            vcpus: 2
            memory: 0
          - name: "1e3"
            address: host-3.example.org
            vcpus: 0
            memory: 1 GiB
        links:
          default:
            distance: 30
            latency: 50 us
            bandwidth: 2 GB/s
          pairs:
            - between: [a, "1e3"]
              distance: 12
              latency: 2500 ns
              bandwidth: 2 GB/s
        failure:
          peer-deadline: 2 s
    "#]]
    .assert_eq(&text);
    assert_eq!(parse(&text, "expanded").unwrap_or_else(|e| panic!("error: {e}\n{text}")), cluster);

    let near = Link { distance: 12, latency_ns: 2_500, bandwidth_mbps: 2_000 };
    assert_eq!(cluster.links.get(NodeId(0), NodeId(2)), near);
    assert_eq!(cluster.guest.command_line, r#"quiet loglevel=7 x="a\b""#);
    assert_eq!((cluster.nodes[1].name.as_str(), cluster.nodes[1].memory), ("null", 0));
}

#[test]
fn what_is_left_out_has_a_default() {
    let text = "version: 1\nname: solo\nnodes:\n  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }\n";
    let cluster = parse(text, "solo.yaml").unwrap();
    expect![[r#"
        version: 1
        name: solo
        guest:
          os: linux
          boot: direct
          # kernel: the distribution's
          # initrd: the distribution's
          command-line: ""
        nodes:
          - name: a
            address: "::1"
            vcpus: 1
            memory: 256 MiB
        links:
          default:
            distance: 100
            latency: 20 us
            bandwidth: 1 GB/s
        failure:
          peer-deadline: 800 ms
    "#]]
    .assert_eq(&render::expanded(&cluster));
}

#[test]
fn files_that_cannot_be_read_say_why_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cluster.yaml");
    let report = |path: &Path| {
        load(path).unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR")
    };
    let absent = "can't read DIR/cluster.yaml: No such file or directory (os error 2); name a cluster file, like configs/clusters/duo.yaml";
    assert_eq!(report(&path), absent);

    fs::write(&path, b"name: \xff").unwrap();
    assert_eq!(report(&path), "DIR/cluster.yaml isn't UTF-8 at byte 6; save it as UTF-8");

    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    let large = "DIR/cluster.yaml has 1048577 bytes, a cluster file has at most 1048576; is this the right file?";
    assert_eq!(report(&path), large);

    fs::write(&path, vec![b'#'; 1 << 20]).unwrap();
    assert!(matches!(load(&path), Err(SchemaError::Refused(_))));
}

#[test]
fn a_kernel_must_be_there_beside_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cluster.yaml");
    let text = "version: 1\nname: own\nguest:\n  kernel: my/vmlinuz\nnodes:\n  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }\n";
    fs::write(&path, text).unwrap();
    let error = load(&path).unwrap_err().to_string();
    expect![[r#"
        the kernel isn't a file
         --> DIR/cluster.yaml:4:11
          |
        4 |   kernel: my/vmlinuz
          |           ^^^^^^^^^^ looked for DIR/my/vmlinuz
          |
          = help: paths are relative to the cluster file; without this key the distribution's is used"#]].assert_eq(&error.replace(&dir.path().display().to_string(), "DIR"));

    fs::create_dir(dir.path().join("my")).unwrap();
    fs::write(dir.path().join("my/vmlinuz"), b"kernel").unwrap();
    let kernel = load(&path).unwrap().guest.kernel.unwrap();
    assert_eq!(kernel, Path::new("my/vmlinuz"), "as written: a cluster has no path of a machine");
    assert_eq!(beside(&path, &kernel), dir.path().join("my/vmlinuz"));
    assert_eq!(
        beside(Path::new("cluster.yaml"), Path::new("/boot/vmlinuz")),
        Path::new("/boot/vmlinuz")
    );
}
