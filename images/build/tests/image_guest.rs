//! The default guest image in stock QEMU: it boots, and does what its kernel command line says.
#![allow(clippy::unwrap_used)]

mod common;

use pangea_images::guest;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The default guest image, in a directory that lives as long.
fn image() -> (TempDir, guest::GuestImage) {
    let mut packages = common::packages();
    let dir = tempfile::tempdir().unwrap();
    let probe = common::probe(dir.path());
    let image = guest::build(&mut packages, &probe, dir.path(), &mut |_| {}).unwrap();
    (dir, image)
}

/// Boots the image in QEMU (TCG) with two nodes of two CPUs; gives the serial console.
fn boot(image: &guest::GuestImage, run: &str) -> String {
    let mut qemu = Command::new("timeout");
    qemu.args(["300", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35"]);
    qemu.args(["-cpu", "max", "-smp", "4", "-m", "512", "-nodefaults", "-no-reboot"]);
    for node in 0..2 {
        let ram = format!("memory-backend-ram,id=m{node},size=256M");
        let numa = format!("node,nodeid={node},memdev=m{node},cpus={}-{}", node * 2, node * 2 + 1);
        qemu.args(["-object", &ram, "-numa", &numa]);
    }
    qemu.args(["-display", "none", "-serial", "stdio"]);
    qemu.arg("-kernel").arg(&image.kernel).arg("-initrd").arg(&image.initrd);
    qemu.args(["-append", &format!("console=ttyS0 {run}")]);
    let output = qemu.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

/// Boots the image in QEMU (TCG) without a word on its command line, and types at its shell: of
/// each step, the second once the console ends with the first.
fn type_at(image: &guest::GuestImage, steps: &[(&str, &str)]) -> String {
    let mut qemu = Command::new("timeout");
    qemu.args(["300", "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max"]);
    qemu.args(["-m", "256", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    qemu.arg("-kernel").arg(&image.kernel).arg("-initrd").arg(&image.initrd);
    qemu.args(["-append", "console=ttyS0 quiet"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = qemu.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut console = Vec::new();
    let mut steps = steps.iter().peekable();
    let mut byte = [0];
    while screen.read(&mut byte).unwrap() == 1 {
        console.push(byte[0]);
        if let Some((_, keys)) = steps.next_if(|(seen, _)| console.ends_with(seen.as_bytes())) {
            keyboard.write_all(keys.as_bytes()).unwrap();
        }
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&console).replace('\r', "")
}

#[test]
fn the_probe_passes_on_two_nodes_in_qemu_and_the_guest_powers_off() {
    let (_dir, image) = image();
    let console = boot(&image, "pangea.run=\"all --quick\"");
    let has = |line: &str| console.lines().any(|l| l.starts_with(line));
    for line in [
        "pangea: init reached, uptime ",
        "cpus 4",
        "cpu 3 apic 3 node 1",
        "node 0 cpus 0-1 distance 10 20",
        "node 1 cpus 2-3 distance 20 10",
        "acpi SRAT bytes ",
        "litmus IRIW x-node 0 y-node 1 cpus [0, 2, 1, 3]",
        "xadd node 1 cpus [0, 1, 2, 3]",
        "pattern writer-node 0 memory-node 1 verifier-node 1",
        "hotplug time 2 cpu 3 node 1 works",
        "summary hotplug  passed",
        "probe: passed",
        "pangea: probe ended with status 0",
    ] {
        assert!(has(line), "no line `{line}` in\n{console}");
    }
}

#[test]
fn without_a_word_the_guest_gives_a_shell_with_job_control_and_powers_off_after_it() {
    let (_dir, image) = image();
    const PROMPT: &str = "pangea:/root# ";
    let console = type_at(
        &image,
        &[
            (PROMPT, "tty; echo $((40+2)); sleep 1000\n"),
            // Ctrl-C, as a person would.
            ("42\r\n", "\x03"),
            (PROMPT, "exit 3\n"),
        ],
    );
    for line in ["/dev/ttyS0", "42", "pangea: shell ended with status 3"] {
        assert!(console.lines().any(|l| l == line), "no line `{line}` in\n{console}");
    }
    assert!(!console.contains("job control turned off"), "{console}");
}
