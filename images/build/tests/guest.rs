//! The default guest image: what is in it, and that it boots in stock QEMU and does what its
//! kernel command line says.
#![allow(clippy::unwrap_used)]

mod common;

use pangea_images::guest;
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

#[test]
fn the_guest_image_is_the_same_twice_and_holds_what_it_says() {
    let Some(mut packages) = common::packages("guest image") else { return };
    let dir = tempfile::tempdir().unwrap();
    let probe = common::probe(dir.path());
    let build = |packages: &mut _, out: &str| {
        guest::build(packages, &probe, &dir.path().join(out), &mut |_| {}).unwrap()
    };
    let one = build(&mut packages, "a");
    let two = build(&mut packages, "b");
    assert!(fs::read(&one.initrd).unwrap() == fs::read(&two.initrd).unwrap(), "not reproducible");
    assert_eq!(one.kernel, two.kernel);
    let listing = common::listing(&one.initrd);
    for path in ["init", "probe", "bin/busybox", "bin/cttyhack -> busybox", "dev/console"] {
        assert!(listing.lines().any(|line| line.ends_with(path)), "no {path} in\n{listing}");
    }
    // Every link is to an applet that this busybox has.
    let busybox = dir.path().join("busybox");
    fs::write(&busybox, common::extract(&one.initrd, "bin/busybox")).unwrap();
    let loader = Command::new("sh")
        .arg("-c")
        .arg(format!("chmod +x {0} && {0} --list", busybox.display()))
        .output();
    let has = String::from_utf8(loader.unwrap().stdout).unwrap();
    for link in listing.lines().filter_map(|line| line.split_once(" -> busybox")).map(|(l, _)| l) {
        let applet = link.rsplit('/').next().unwrap();
        assert!(has.lines().any(|name| name == applet), "busybox has no {applet}");
    }
}

/// Boots the image in QEMU (TCG) with two nodes of two CPUs; gives the serial console.
fn boot(image: &guest::GuestImage, run: &str) -> Option<String> {
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
    let output = qemu.stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
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

fn has_qemu(test: &str) -> bool {
    let found = Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
    if !found {
        eprintln!("{test} did not run: no qemu-system-x86_64 (apt-get install qemu-system-x86)");
    }
    found
}

#[test]
fn the_probe_passes_on_two_nodes_in_qemu_and_the_guest_powers_off() {
    let Some(mut packages) = common::packages("guest boot") else { return };
    if !has_qemu("guest boot") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let probe = common::probe(dir.path());
    let image = guest::build(&mut packages, &probe, dir.path(), &mut |_| {}).unwrap();
    let console = boot(&image, "pangea.run=\"all --quick\"").unwrap();
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
    let Some(mut packages) = common::packages("guest shell") else { return };
    if !has_qemu("guest shell") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let probe = common::probe(dir.path());
    let image = guest::build(&mut packages, &probe, dir.path(), &mut |_| {}).unwrap();
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
