//! Files that aren't of a cluster file's shape: not YAML, or other keys.

use crate::refused;
use expect_test::expect;

#[test]
fn an_empty_file() {
    refused(
        "",
        expect![[r#"
        error: the file is empty
         --> cluster.yaml:1:1
          |
        1 |
          | ^ no cluster here
          |
          = help: the format is described in configs/clusters/README.md
    "#]],
    );
}

#[test]
fn a_file_of_another_version() {
    refused(
        r#"version: 2
name: duo
future: true
"#,
        expect![[r#"
            error: this program reads version 1 of cluster files
             --> cluster.yaml:1:10
              |
            1 | version: 2
              |          ^ version 2
              |
              = help: write `version: 1`, or use the release that wrote this file
        "#]],
    );
}

#[test]
fn no_version() {
    refused(
        r#"# A cluster.
name: duo
nodes:
  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
"#,
        expect![[r#"
            error: `version` is missing or empty
             --> cluster.yaml:2:1
              |
            2 | name: duo
              | ^^^^^^^^^ it belongs here
              |
              = help: write `version: 1` as the first line
        "#]],
    );
}

#[test]
fn a_syntax_error() {
    refused(
        r#"version: 1
name: duo
nodes: [
"#,
        expect![[r#"
            error: not YAML: unclosed bracket '['
             --> cluster.yaml:3:8
              |
            3 | nodes: [
              |        ^ here
              |
              = help: look at quotes, brackets and indentation at this place
        "#]],
    );
}

#[test]
fn a_tab() {
    refused(
        r#"version: 1
name: duo
nodes:
	- name: a
"#,
        expect![[r#"
            error: not YAML: tabs disallowed within this context (block indentation)
             --> cluster.yaml:4:2
              |
            4 |     - name: a
              |     ^ here
              |
              = help: look at quotes, brackets and indentation at this place
        "#]],
    );
}

#[test]
fn a_mistyped_key() {
    refused(
        r#"version: 1
name: duo
nodes:
  - name: a
    adress: 127.0.0.1
"#,
        expect![[r#"
            error: unknown key `adress`
             --> cluster.yaml:5:5
              |
            5 |     adress: 127.0.0.1
              |     ^^^^^^ not a key of this part
              |
              = help: did you mean `address`?
        "#]],
    );
}

#[test]
fn an_unknown_key() {
    refused(
        r#"version: 1
name: duo
disks: []
"#,
        expect![[r#"
            error: unknown key `disks`
             --> cluster.yaml:3:1
              |
            3 | disks: []
              | ^^^^^ not a key of this part
              |
              = help: the keys here are `version`, `name`, `guest`, `nodes`, `links` and `failure`
        "#]],
    );
}

#[test]
fn a_key_twice() {
    refused(
        r#"version: 1
name: duo
name: trio
"#,
        expect![[r#"
            error: the key `name` is there twice
             --> cluster.yaml:3:1
              |
            3 | name: trio
              | ^^^^ again here
              |
              = help: remove one of them
        "#]],
    );
}

#[test]
fn a_list_where_a_value_belongs() {
    refused(
        r#"version: 1
name: [duo]
"#,
        expect![[r#"
            error: a single value belongs here
             --> cluster.yaml:2:7
              |
            2 | name: [duo]
              |       ^^^^^ not a single value
              |
              = help: the format is described in configs/clusters/README.md
        "#]],
    );
}

#[test]
fn a_value_where_a_list_belongs() {
    refused(
        r#"version: 1
name: duo
nodes: 2
"#,
        expect![[r#"
            error: a list belongs here
             --> cluster.yaml:3:8
              |
            3 | nodes: 2
              |        ^ not a list
              |
              = help: write one item a line, each after `- `
        "#]],
    );
}

#[test]
fn a_value_where_keys_belong() {
    refused(
        r#"version: 1
name: duo
nodes:
  - a
"#,
        expect![[r#"
            error: keys with values belong here
             --> cluster.yaml:4:5
              |
            4 |   - a
              |     ^ not keys with values
              |
              = help: write one `key: value` a line
        "#]],
    );
}

#[test]
fn two_documents() {
    refused(
        r#"version: 1
name: duo
---
version: 1
"#,
        expect![[r#"
            error: a file holds one cluster
             --> cluster.yaml:4:1
              |
            4 | version: 1
              | ^^^^^^^^^^ a second one
              |
              = help: write one file for each cluster
        "#]],
    );
}

#[test]
fn an_unknown_alias() {
    refused(
        r#"version: 1
name: *duo
"#,
        expect![[r#"
            error: not YAML: reference to unknown value
             --> cluster.yaml:2:7
              |
            2 | name: *duo
              |       ^ here
              |
              = help: look at quotes, brackets and indentation at this place
        "#]],
    );
}

#[test]
fn no_nodes_key() {
    refused(
        r#"version: 1
name: duo
nodes:
"#,
        expect![[r#"
            error: `nodes` is missing or empty
             --> cluster.yaml:1:1
              |
            1 | version: 1
              | ^^^^^^^^^^ it belongs here
              |
              = help: list at least one: `- { name: a, address: 127.0.0.1, vcpus: 1, memory: 512 MiB }`
        "#]],
    );
}

#[test]
fn keys_of_a_node_left_out() {
    refused(
        r#"version: 1
name: duo
nodes:
  - name: a
  - address: ::1
    vcpus: 1
"#,
        expect![[r#"
            error: `address` is missing or empty
             --> cluster.yaml:4:5
              |
            4 |   - name: a
              |     ^^^^^^^ it belongs here
              |
              = help: where its peers reach it: `address: 192.168.1.20`

            error: `vcpus` is missing or empty
             --> cluster.yaml:4:5
              |
            4 |   - name: a
              |     ^^^^^^^ it belongs here
              |
              = help: say how many: `vcpus: 1`; a memory-only node has `vcpus: 0`

            error: `memory` is missing or empty
             --> cluster.yaml:4:5
              |
            4 |   - name: a
              |     ^^^^^^^ it belongs here
              |
              = help: say how much: `memory: 512 MiB`; a CPU-only node has `memory: 0`

            error: `name` is missing or empty
             --> cluster.yaml:5:5
              |
            5 |   - address: ::1
              |     ^^^^^^^^^^^^ it belongs here
              |
              = help: give the node a name: `name: a`

            error: `memory` is missing or empty
             --> cluster.yaml:5:5
              |
            5 |   - address: ::1
              |     ^^^^^^^^^^^^ it belongs here
              |
              = help: say how much: `memory: 512 MiB`; a CPU-only node has `memory: 0`
        "#]],
    );
}
