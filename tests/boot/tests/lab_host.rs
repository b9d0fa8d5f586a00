//! The lab by itself: everything that goes into a lab host and comes out of it, in one boot.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pangea_boot::lab::{ConsoleIo, Lab, LabError, LabOptions};

/// Something to write to that others may look at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_goes_in_and_comes_out() {
    let directory = tempfile::tempdir().unwrap();
    let given = directory.path().join("given");
    std::fs::write(&given, b"from outside\n").unwrap();
    let script = r#"
        trap 'echo asked to stop; echo done >/out/stopped; exit 42' TERM
        cat /given
        read -r typed
        echo "typed $typed"
        head -c 300000 /dev/urandom >/out/noise
        sha256sum </out/noise
        grep -c . /sys/module/kvm_amd/parameters/nested
        ls -1 /dev/kvm /dev/userfaultfd
        echo to the log >&2
        echo waiting
        while :; do sleep 0.1; done
    "#;
    let stop = Arc::new(AtomicBool::new(false));
    let (seen, asked) = (Shared::default(), stop.clone());
    let lab = Lab::new(LabOptions::default()).file(&given, "/given", 0o644).stop_on(stop).on_log(
        move |line| {
            // What control ran: the script is at its end.
            if line == "beside" {
                asked.store(true, Ordering::Relaxed);
            }
        },
    );
    let control = lab.control();
    let watcher = seen.clone();
    std::thread::spawn(move || {
        while !String::from_utf8_lossy(&watcher.0.lock().unwrap()).contains("waiting\n") {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        control.run("echo beside");
    });
    let console = ConsoleIo {
        input: Some(Box::new(Cursor::new(b"some words\n"))),
        output: Some(Box::new(seen.clone())),
    };
    let outcome = lab.run(script, console).unwrap();

    assert_eq!(outcome.exit_code, 42, "{}", outcome.log);
    assert_eq!(*seen.0.lock().unwrap(), outcome.console);
    let text = String::from_utf8(outcome.console).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["from outside", "typed some words"]);
    assert_eq!(lines[3..], ["1", "/dev/kvm", "/dev/userfaultfd", "waiting", "asked to stop"]);
    let noise = &outcome.files["noise"];
    assert_eq!((noise.len(), &outcome.files["stopped"][..]), (300_000, &b"done\n"[..]));
    assert!(outcome.log.contains("to the log"), "{}", outcome.log);
    assert!(outcome.log.contains("Nested Virtualization enabled"), "{}", outcome.log);
    // Without the TSC as its clock, KVM has no master clock to give to guests.
    assert_eq!(outcome.host.unwrap().clocksource, "tsc");
}

#[test]
fn a_host_that_cant_boot_says_so_with_its_last_words() {
    let options = LabOptions {
        kernel_args_extra: vec!["init=/nowhere rdinit=/nowhere".into()],
        ..LabOptions::default()
    };
    let error = Lab::new(options).run("true", ConsoleIo::default()).unwrap_err();
    assert!(matches!(error, LabError::Died { .. }), "{error}");
    assert!(error.to_string().contains("panic"), "{error}");
}
