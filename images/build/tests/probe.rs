//! The probe on this machine: what a real, coherent machine gives must pass, and say what it found.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

/// Runs the probe's commands one after the other; gives what each printed.
fn run(commands: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let probe = common::probe(dir.path());
    let run = |command: &&str| {
        let output = Command::new(&probe).args(command.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    commands.iter().map(run).collect()
}

fn passed(text: &str) -> bool {
    text.lines().last() == Some("probe: passed")
}

#[test]
fn every_check_that_needs_no_root_passes_here_and_says_what_it_saw() {
    let commands = ["clock", "litmus --rounds 2000", "xadd", "mutex", "pattern", "report"];
    let said = run(&commands);
    for (command, text) in commands.iter().zip(&said) {
        assert!(passed(text), "probe {command}:\n{text}");
    }
    let [_, litmus, xadd, mutex, pattern, report] = said.as_slice() else { unreachable!() };
    let count = |text: &str, start: &str| text.lines().filter(|l| l.starts_with(start)).count();
    for test in ["MP", "SB", "SB+mfences", "LB", "CoRR", "WRC", "IRIW"] {
        assert!(count(litmus, &format!("litmus {test} ")) >= 2, "{litmus}");
    }
    assert!(xadd.contains("additions [2000"), "{xadd}");
    assert!(mutex.contains("mutex futex node 0") && mutex.contains("total 300"), "{mutex}");
    assert!(pattern.contains("pages 256 of 256 wrong-bytes 0"), "{pattern}");
    assert_eq!(count(report, "cpus "), 1, "{report}");
    assert_eq!(count(report, "complaints "), 1, "{report}");
}

#[test]
fn what_it_cant_do_fails_with_a_last_line() {
    let commands = ["nonsense", "litmus --cpus 4000", "xadd --count 0", "litmus --rounds"];
    let said = run(&commands);
    for (command, text) in commands.iter().zip(&said) {
        let last = text.lines().last().unwrap_or_default();
        assert!(last.starts_with("probe: FAILED "), "probe {command}:\n{text}");
    }
    assert!(said[1].contains("CPU 4000"), "{}", said[1]);
    assert!(said[2].contains("it must be from 1 to"), "{}", said[2]);
}

/// Its workspace is its own, so nothing else runs them.
#[test]
fn the_probes_own_tests_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet", "--locked", "--target-dir"]).arg(root.join("target/probe"));
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    let output = cargo.current_dir(root.join("images/probe")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("test result: ok"), "{said}");
}
