//! How node processes are started, heard, ended and counted; the nodes here are shell scripts.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pangea_boot::cluster::{ClusterRun, NodeOutcome, exit_code};
use pangea_boot::native::{self, Console, NativeError};

const DUO: &str = "\
version: 1
name: duo
nodes:
  - { name: a, address: 127.0.0.1, vcpus: 1, memory: 512 MiB }
  - { name: b, address: 127.0.0.1, vcpus: 1, memory: 512 MiB }
";

/// In which `$name` is the node's name and `$json` the file for its counters.
fn run(
    body: &str,
    stop: bool,
    limit: Option<Duration>,
) -> (Result<Vec<NodeOutcome>, NativeError>, String) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("pangea");
    let head = r#"#!/bin/sh
[ "$1|$2|$3|$4|$6" = "node|--bundle|the bundle|--node|--stats-json" ] || exit 9
name=$5 json=$7
"#;
    std::fs::write(&program, format!("{head}{body}")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let cluster = pangea_schema::parse(DUO, "duo.yaml").unwrap();
    let arguments = ["--wait".to_owned(), "7".to_owned()];
    let run = ClusterRun {
        program: &program,
        bundle: Path::new("the bundle"),
        cluster: &cluster,
        arguments: &arguments,
    };
    let mut log = String::new();
    let result = native::run(&run, Console::Ours, limit, &AtomicBool::new(stop), |line| {
        log.push_str(line);
        log.push('\n');
    });
    (result, log)
}

fn codes(result: Result<Vec<NodeOutcome>, NativeError>) -> Vec<Option<i32>> {
    result.unwrap().iter().map(|node| node.exit_code).collect()
}

#[test]
fn each_node_gets_its_arguments_and_gives_its_log_and_counters() {
    let (result, log) = run(r#"echo "$8 $9" >&2; echo "{\"$name\":1}" >"$json""#, false, None);
    let nodes = result.unwrap();
    let seen: Vec<_> =
        nodes.iter().map(|node| (node.name.as_str(), node.stats.as_deref())).collect();
    assert_eq!(seen, [("a", Some("{\"a\":1}\n")), ("b", Some("{\"b\":1}\n"))]);
    assert_eq!(exit_code(&nodes), 0);
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[a] --wait 7", "[b] --wait 7"]);
}

#[test]
fn a_node_that_fails_takes_the_other_with_it() {
    let body = r#"[ "$name" = b ] && exit 3
trap 'echo asked >&2; exit 130' TERM
while :; do sleep 0.1; done"#;
    let (result, log) = run(body, false, None);
    assert_eq!(codes(result), [Some(130), Some(3)]);
    assert_eq!(log, "[a] asked\n");
}

#[test]
fn a_stop_asks_every_node() {
    let body = "trap 'exit 130' TERM; while :; do sleep 0.1; done";
    // A stop that comes before the trap ends the shell by the signal itself.
    let (result, _) = run(body, true, None);
    for code in codes(result) {
        assert!(matches!(code, Some(130) | None), "{code:?}");
    }
}

#[test]
fn a_node_that_wont_end_is_ended_at_the_limit() {
    let (result, _) =
        run("trap '' TERM; while :; do sleep 0.1; done", false, Some(Duration::from_secs(1)));
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "the nodes had not ended after 1 s");
}

#[test]
fn a_node_that_a_signal_ends_has_no_code() {
    let (result, _) = run("kill -9 $$", false, None);
    assert_eq!(codes(result), [None, None]);
}
