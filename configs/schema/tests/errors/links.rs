//! Pairs of nodes and their links.

use crate::refused;
use expect_test::expect;

#[test]
fn pairs_that_are_none() {
    refused(
        r#"version: 1
name: duo
nodes:
  - { name: left, address: ::1, vcpus: 1, memory: 256 MiB }
  - { name: right, address: ::1, vcpus: 1, memory: 256 MiB }
links:
  pairs:
    - between: [left, rihgt]
    - between: [left, middle]
    - between: [left, left]
    - between: [left]
    - distance: 30
"#,
        expect![[r#"
            error: no node of this name
             --> cluster.yaml:8:23
              |
            8 |     - between: [left, rihgt]
              |                       ^^^^^ `rihgt`
              |
              = help: did you mean `right`?

            error: no node of this name
             --> cluster.yaml:9:23
              |
            9 |     - between: [left, middle]
              |                       ^^^^^^ `middle`
              |
              = help: the nodes are `left` and `right`

            error: a pair is two different nodes
              --> cluster.yaml:10:23
               |
            10 |     - between: [left, left]
               |                       ^^^^ the same node
               |
               = help: name two nodes: `between: [a, b]`

            error: a pair is two nodes
              --> cluster.yaml:11:16
               |
            11 |     - between: [left]
               |                ^^^^^^ not two, but 1
               |
               = help: name two nodes: `between: [a, b]`

            error: `between` is missing or empty
              --> cluster.yaml:12:7
               |
            12 |     - distance: 30
               |       ^^^^^^^^^^^^ it belongs here
               |
               = help: name two nodes: `between: [a, b]`
        "#]],
    );
}

#[test]
fn a_pair_twice() {
    refused(
        r#"version: 1
name: duo
nodes:
  - { name: left, address: ::1, vcpus: 1, memory: 256 MiB }
  - { name: right, address: ::1, vcpus: 1, memory: 256 MiB }
links:
  pairs:
    - between: [left, right]
      distance: 30
    - between: [right, left]
      distance: 31
"#,
        expect![[r#"
            error: a pair is listed once, in either order
              --> cluster.yaml:10:7
               |
             8 |     - between: [left, right]
               |       ---------------------- listed here first
             9 |       distance: 30
            10 |     - between: [right, left]
               |       ^^^^^^^^^^^^^^^^^^^^^^ the same two nodes
               |
               = help: remove one of the two
        "#]],
    );
}

#[test]
fn a_limit_of_the_right_pair() {
    refused(
        r#"version: 1
name: trio
nodes:
  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
  - { name: b, address: ::1, vcpus: 1, memory: 256 MiB }
  - { name: c, address: ::1, vcpus: 1, memory: 256 MiB }
links:
  pairs:
    - between: [c, b]
      distance: 255
    - between: [a, b]
      distance: 12
      latency: 5 us
"#,
        expect![[r#"
            error: a distance is 11 to 254
              --> cluster.yaml:10:17
               |
            10 |       distance: 255
               |                 ^^^ 255
               |
               = help: 10 is a node's distance to itself, 100 the default to another
        "#]],
    );
}
