//! What goes wrong when nodes are started, or while they run: each is said by name, with what to do.
#![allow(clippy::unwrap_used)]

mod common;

use common::Boot;
use pangea_boot::lab::{ConsoleIo, Lab, LabOptions};

#[test]
fn a_killed_node_is_named_and_the_other_stops() {
    let booted = Boot::new("duo", "all").boot(|line, control| {
        // From then on memory and CPUs of both are one machine.
        if line.starts_with("[a]") && line.ends_with("the guest runs") {
            control.run("sleep 3; kill -9 $(cat /run/b.pid)");
        }
    });
    let codes: Vec<_> = booted.nodes.iter().map(|node| node.exit_code).collect();
    assert_eq!(codes, [Some(3), None], "{}", booted.log);
    let said = booted.log.lines().find(|line| line.starts_with("[a] error:"));
    let said = said.unwrap_or_else(|| panic!("node a said nothing:\n{}", booted.log));
    assert!(said.contains("lost node b") && said.contains("last heard"), "{said}");
}

/// Starts pairs of nodes that must refuse each other, one pair after the other in one boot.
#[test]
fn what_doesnt_belong_together_is_refused_by_name() {
    let (duo, other, trio) =
        (Boot::new("duo", "report"), Boot::new("duo", "all"), Boot::new("trio", "report"));
    let script = r#"
        try() { # NAME, the two bundles, the two nodes
            name=$1
            /lab/pangea node --bundle "/lab/$2" --node "$4" --wait 15 2>"/out/$name.first" &
            first=$!
            /lab/pangea node --bundle "/lab/$3" --node "$5" --wait 15 2>"/out/$name.second"
            echo $? >"/out/$name.codes"
            wait $first
            echo $? >>"/out/$name.codes"
        }
        export NO_COLOR=1
        try bundle duo other a b
        try cluster duo trio a b
        try unknown duo duo a c
        port=50051
        while [ $port -le 50100 ]; do
            busybox nc -ll -p $port -e true &
            port=$((port + 1))
        done
        sleep 2
        try ports duo duo a b
        true
    "#;
    let lab = Lab::new(LabOptions::default())
        .program(&duo.program, "/lab/pangea")
        .unwrap()
        .directory(&duo.bundle, "/lab/duo")
        .unwrap()
        .directory(&other.bundle, "/lab/other")
        .unwrap()
        .directory(&trio.bundle, "/lab/trio")
        .unwrap();
    let outcome = lab.run(script, ConsoleIo::default()).unwrap();
    let said = |name: &str| String::from_utf8_lossy(&outcome.files[name]).into_owned();
    for (name, content) in &outcome.files {
        eprintln!("{name}:\n{}", String::from_utf8_lossy(content));
    }
    let expect = |name: &str, words: &[&str]| {
        let text = said(name);
        for word in words {
            assert!(text.contains(word), "{name} doesn't say {word:?}:\n{text}");
        }
    };
    for name in ["bundle", "cluster", "unknown", "ports"] {
        let codes = said(&format!("{name}.codes"));
        assert_eq!(
            codes,
            "1\n1\n",
            "{name}: {}{}",
            said(&format!("{name}.first")),
            said(&format!("{name}.second"))
        );
    }
    expect("bundle.first", &["error:", "bundle"]);
    expect("bundle.second", &["error:", "bundle"]);
    expect("cluster.first", &["error:", "cluster"]);
    expect("cluster.second", &["error:", "cluster"]);
    expect("unknown.second", &["error:", "no node \"c\"", "a, b"]);
    expect("unknown.first", &["error:", "b"]);
    expect("ports.second", &["error:", "50051", "50100"]);
}
