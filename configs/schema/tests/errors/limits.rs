//! Clusters past a limit, or without what a cluster needs.

use crate::refused;
use expect_test::expect;

#[test]
fn zero_nodes() {
    refused(
        r#"version: 1
name: duo
nodes: []
"#,
        expect![[r#"
            error: a cluster has at least one node
             --> cluster.yaml:3:8
              |
            3 | nodes: []
              |        ^^ no node
              |
              = help: add one: `- { name: a, address: 127.0.0.1, vcpus: 1, memory: 512 MiB }`
        "#]],
    );
}

#[test]
fn a_name_twice() {
    refused(
        r#"version: 1
name: duo
nodes:
  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
  - { name: b, address: ::1, vcpus: 1, memory: 256 MiB }
  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
"#,
        expect![[r#"
            error: a node's name is its own
             --> cluster.yaml:6:13
              |
            4 |   - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
              |             - used here first
            5 |   - { name: b, address: ::1, vcpus: 1, memory: 256 MiB }
            6 |   - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
              |             ^ `a`
              |
              = help: give one of the two another name
        "#]],
    );
}

#[test]
fn a_root_node_that_is_too_small() {
    refused(
        r#"version: 1
name: duo
nodes:
  - name: a
    address: ::1
    vcpus: 0
    memory: 128 MiB # too little
  - name: b
    address: ::1
    vcpus: 0
    memory: 0
  - name: c
    address: ::1
    vcpus: 1
    memory: 3 MiB
"#,
        expect![[r#"
            error: the first node is the root node: it has the boot CPU
             --> cluster.yaml:6:12
              |
            6 |     vcpus: 0
              |            ^ 0 vCPUs
              |
              = help: give it at least 1 vCPU, or put another node first

            error: the first node is the root node: it needs 256 MiB
             --> cluster.yaml:7:13
              |
            7 |     memory: 128 MiB # too little
              |             ^^^^^^^ 128 MiB
              |
              = help: give it at least 256 MiB, or put another node first

            error: a node has vCPUs, memory or both
             --> cluster.yaml:8:5
              |
            8 |   - name: b
              |     ^^^^^^^ neither vCPUs nor memory
              |
              = help: give it some, or remove it

            error: memory is a multiple of 2 MiB
              --> cluster.yaml:15:13
               |
            15 |     memory: 3 MiB
               |             ^^^^^ 3 MiB
               |
               = help: the nearest is 2 MiB
        "#]],
    );
}

#[test]
fn a_memory_only_node_before_one_with_vcpus() {
    refused(
        r#"version: 1
name: trio
nodes:
  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
  - { name: b, address: ::1, vcpus: 0, memory: 256 MiB }
  - { name: c, address: ::1, vcpus: 1, memory: 256 MiB }
"#,
        expect![[r#"
            error: nodes without vCPUs are listed last: Linux gives them the last numbers
             --> cluster.yaml:5:37
              |
            5 |   - { name: b, address: ::1, vcpus: 0, memory: 256 MiB }
              |                                     ^ 0 vCPUs
              |
              = help: move it below `c`, or give it vCPUs
        "#]],
    );
}

#[test]
fn more_than_the_limits() {
    refused(
        r#"version: 1
name: big
nodes:
  - { name: a, address: ::1, vcpus: 1000, memory: 16 TiB }
  - { name: b, address: ::1, vcpus: 25, memory: 2 MiB }
  - { name: c, address: ::1, vcpus: 1, memory: 0 }
links:
  default: { distance: 10, latency: 6 ms, bandwidth: 66 GB/s }
failure:
  peer-deadline: 99 ms
"#,
        expect![[r#"
            error: a cluster has at most 1024 vCPUs
             --> cluster.yaml:5:37
              |
            5 |   - { name: b, address: ::1, vcpus: 25, memory: 2 MiB }
              |                                     ^^ 1026 vCPUs in all, past the limit from here
              |
              = help: take 2 away

            error: a cluster has at most 16 TiB
             --> cluster.yaml:5:49
              |
            5 |   - { name: b, address: ::1, vcpus: 25, memory: 2 MiB }
              |                                                 ^^^^^ 16777218 MiB in all, past the limit from here
              |
              = help: take 2 MiB away

            error: a distance is 11 to 254
             --> cluster.yaml:8:24
              |
            8 |   default: { distance: 10, latency: 6 ms, bandwidth: 66 GB/s }
              |                        ^^ 10
              |
              = help: 10 is a node's distance to itself, 100 the default to another

            error: a latency is 100 ns to 5 ms
             --> cluster.yaml:8:37
              |
            8 |   default: { distance: 10, latency: 6 ms, bandwidth: 66 GB/s }
              |                                     ^^^^ 6 ms
              |
              = help: use what a page fetch over this link takes

            error: a bandwidth is 1 MB/s to 65534 MB/s
             --> cluster.yaml:8:54
              |
            8 |   default: { distance: 10, latency: 6 ms, bandwidth: 66 GB/s }
              |                                                      ^^^^^^^ 66 GB/s
              |
              = help: use what the link carries

            error: a deadline is 100 ms to 60 s
              --> cluster.yaml:10:18
               |
            10 |   peer-deadline: 99 ms
               |                  ^^^^^ 99 ms
               |
               = help: 800 ms, the default, stops the guest within a second of losing a node
        "#]],
    );
}

#[test]
fn a_node_too_many() {
    let mut text = String::from("version: 1\nname: big\nnodes:\n");
    for i in 0..65 {
        text += &format!("  - {{ name: n{i}, address: '::1', vcpus: 1, memory: 256 MiB }}\n");
    }
    refused(
        &text,
        expect![[r#"
            error: a cluster has at most 64 nodes
              --> cluster.yaml:68:5
               |
            68 |   - { name: n64, address: '::1', vcpus: 1, memory: 256 MiB }
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 65 nodes in all, past the limit from here
               |
               = help: make fewer, larger nodes
        "#]],
    );
}

#[test]
fn only_the_first_ten_problems_are_shown() {
    let mut text = String::from("version: 1\nname: wrong\nnodes:\n");
    for _ in 0..12 {
        text += "  - { name: A, address: '::1', vcpus: 1, memory: 512 }\n";
    }
    let error = pangea_schema::parse(&text, "cluster.yaml").unwrap_err().to_string();
    assert_eq!(error.matches("has no unit").count(), 10);
    assert!(error.ends_with("\n\n2 more like these"), "{error}");
}
