//! Values that can't be understood.

use crate::refused;
use expect_test::expect;

#[test]
fn numbers_without_units() {
    refused(
        r#"version: 1
name: duo
nodes:
  - name: a
    address: ::1
    vcpus: two
    memory: 512
links:
  default: { distance: near, latency: 20, bandwidth: 1000 }
failure:
  peer-deadline: 800
"#,
        expect![[r#"
            error: the number of vCPUs is a whole number
             --> cluster.yaml:6:12
              |
            6 |     vcpus: two
              |            ^^^ `two`
              |
              = help: write it in decimal digits

            error: `512` has no unit
             --> cluster.yaml:7:13
              |
            7 |     memory: 512
              |             ^^^ `512`
              |
              = help: the units are `KiB`, `MiB`, `GiB` and `TiB`: `512 MiB`

            error: a distance is a whole number
             --> cluster.yaml:9:24
              |
            9 |   default: { distance: near, latency: 20, bandwidth: 1000 }
              |                        ^^^^ `near`
              |
              = help: write it in decimal digits

            error: `20` has no unit
             --> cluster.yaml:9:39
              |
            9 |   default: { distance: near, latency: 20, bandwidth: 1000 }
              |                                       ^^ `20`
              |
              = help: the units are `ns`, `us`, `ms` and `s`: `20 us`

            error: `1000` has no unit
             --> cluster.yaml:9:54
              |
            9 |   default: { distance: near, latency: 20, bandwidth: 1000 }
              |                                                      ^^^^ `1000`
              |
              = help: the units are `MB/s` and `GB/s`: `1000 MB/s`

            error: `800` has no unit
              --> cluster.yaml:11:18
               |
            11 |   peer-deadline: 800
               |                  ^^^ `800`
               |
               = help: the units are `ns`, `us`, `ms` and `s`: `800 ms`
        "#]],
    );
}

#[test]
fn wrong_units() {
    refused(
        r#"version: 1
name: duo
nodes:
  - { name: a, address: ::1, vcpus: 1, memory: 512 MB }
  - { name: b, address: ::1, vcpus: 1, memory: 1.5 GiB }
  - { name: c, address: ::1, vcpus: 1, memory: 99999999 TiB }
links:
  default: { latency: 20 µs, bandwidth: 8 Gb/s }
failure:
  peer-deadline: 1500 us
"#,
        expect![[r#"
            error: `MB` isn't a unit here
             --> cluster.yaml:4:48
              |
            4 |   - { name: a, address: ::1, vcpus: 1, memory: 512 MB }
              |                                                ^^^^^^ `512 MB`
              |
              = help: the units are `KiB`, `MiB`, `GiB` and `TiB`: `512 MiB`

            error: a whole number belongs before the unit
             --> cluster.yaml:5:48
              |
            5 |   - { name: b, address: ::1, vcpus: 1, memory: 1.5 GiB }
              |                                                ^^^^^^^ `1.5 GiB`
              |
              = help: use a smaller unit; the units are `KiB`, `MiB`, `GiB` and `TiB`: `512 MiB`

            error: this is far over any limit
             --> cluster.yaml:6:48
              |
            6 |   - { name: c, address: ::1, vcpus: 1, memory: 99999999 TiB }
              |                                                ^^^^^^^^^^^^ `99999999 TiB`
              |
              = help: the units are `KiB`, `MiB`, `GiB` and `TiB`: `512 MiB`

            error: `µs` isn't a unit here
             --> cluster.yaml:8:23
              |
            8 |   default: { latency: 20 µs, bandwidth: 8 Gb/s }
              |                       ^^^^^ `20 µs`
              |
              = help: the units are `ns`, `us`, `ms` and `s`: `20 us`

            error: `Gb/s` isn't a unit here
             --> cluster.yaml:8:41
              |
            8 |   default: { latency: 20 µs, bandwidth: 8 Gb/s }
              |                                         ^^^^^^ `8 Gb/s`
              |
              = help: the units are `MB/s` and `GB/s`: `1000 MB/s`

            error: a deadline is whole milliseconds
              --> cluster.yaml:10:18
               |
            10 |   peer-deadline: 1500 us
               |                  ^^^^^^^ `1500 us`
               |
               = help: write it in `ms`
        "#]],
    );
}

#[test]
fn unknown_words() {
    refused(
        r#"version: 1
name: duo
guest:
  os: Linux
  boot: ovmf
nodes:
  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
"#,
        expect![[r#"
            error: a guest's `os` can be `linux`
             --> cluster.yaml:4:7
              |
            4 |   os: Linux
              |       ^^^^^ `Linux`
              |
              = help: did you mean `linux`?

            error: a guest's `boot` can be `direct`
             --> cluster.yaml:5:9
              |
            5 |   boot: ovmf
              |         ^^^^ `ovmf`
              |
              = help: remove the key to use the default
        "#]],
    );
}

#[test]
fn bad_names_and_addresses() {
    refused(
        r#"version: 1
name: My Cluster
nodes:
  - { name: a_b, address: 10.0.0.300, vcpus: 1, memory: 256 MiB }
  - { name: -b, address: 'host:50051', vcpus: 1, memory: 256 MiB }
"#,
        expect![[r#"
            error: a name is 1 to 32 of a-z, 0-9 and -, and doesn't begin with -
             --> cluster.yaml:2:7
              |
            2 | name: My Cluster
              |       ^^^^^^^^^^ `My Cluster`
              |
              = help: use lower-case letters, digits and hyphens

            error: a name is 1 to 32 of a-z, 0-9 and -, and doesn't begin with -
             --> cluster.yaml:4:13
              |
            4 |   - { name: a_b, address: 10.0.0.300, vcpus: 1, memory: 256 MiB }
              |             ^^^ `a_b`
              |
              = help: use lower-case letters, digits and hyphens

            error: an address is an IPv4 or IPv6 address or a host name
             --> cluster.yaml:4:27
              |
            4 |   - { name: a_b, address: 10.0.0.300, vcpus: 1, memory: 256 MiB }
              |                           ^^^^^^^^^^ `10.0.0.300`
              |
              = help: an IPv4 address is four numbers of 0 to 255, like 192.168.1.20

            error: a name is 1 to 32 of a-z, 0-9 and -, and doesn't begin with -
             --> cluster.yaml:5:13
              |
            5 |   - { name: -b, address: 'host:50051', vcpus: 1, memory: 256 MiB }
              |             ^^ `-b`
              |
              = help: begin it with a letter or a digit

            error: an address is an IPv4 or IPv6 address or a host name
             --> cluster.yaml:5:26
              |
            5 |   - { name: -b, address: 'host:50051', vcpus: 1, memory: 256 MiB }
              |                          ^^^^^^^^^^^^ `host:50051`
              |
              = help: leave the brackets and the port away: ports 50051-50100 are tried in turn
        "#]],
    );
}

#[test]
fn a_command_line_of_two_lines() {
    refused(
        r#"version: 1
name: duo
guest:
  command-line: "a\nb"
  kernel: ''
nodes:
  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }
"#,
        expect![[r#"
            error: a command line is printable ASCII on one line
             --> cluster.yaml:4:17
              |
            4 |   command-line: "a\nb"
              |                 ^^^^^^ '\n'
              |
              = help: remove that character

            error: a path isn't empty
             --> cluster.yaml:5:11
              |
            5 |   kernel: ''
              |           ^^ ``
              |
              = help: name a file, or remove the key to use the distribution's
        "#]],
    );
}

#[test]
fn what_a_terminal_would_obey_is_escaped() {
    refused(
        "version: 1\nname: \"\\e[2J\\nx\"\nnodes:\n  - { name: a, address: ::1, vcpus: 1, memory: 256 MiB }\n",
        expect![[r#"
            error: a name is 1 to 32 of a-z, 0-9 and -, and doesn't begin with -
             --> cluster.yaml:2:7
              |
            2 | name: "\e[2J\nx"
              |       ^^^^^^^^^^ `\u{1b}[2J\nx`
              |
              = help: use lower-case letters, digits and hyphens
        "#]],
    );
}
