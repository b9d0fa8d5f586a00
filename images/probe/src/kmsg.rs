//! The kernel's own messages.
//!
//! Spec: Linux `Documentation/ABI/testing/dev-kmsg`: each read gives one record,
//! `priority,sequence,microseconds,flags;text`, and continuation lines that begin with a space.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

/// The longest record that the kernel hands out.
const RECORD: usize = 8192;
/// The most records that are read: a kernel that prints without end doesn't hold us up.
const RECORDS: usize = 100_000;
/// In messages that only tell of a CPU's known weaknesses, whatever words they use.
const NO_COMPLAINT: &str = "admin-guide/hw-vuln";
/// What in a message means that something is wrong.
const COMPLAINTS: [&str; 10] = [
    "WARNING:",
    "BUG:",
    "Oops",
    "Call Trace",
    "unstable",
    "lockup",
    "rcu_sched self-detected stall",
    "detected stalls",
    "blocked for more than",
    "TSC warp",
];

/// All messages since boot, without their headers.
pub(crate) fn read() -> Result<Vec<String>, String> {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
    let mut file = file.map_err(|error| format!("can't open /dev/kmsg: {error}"))?;
    let mut lines = Vec::new();
    let mut buffer = [0; RECORD];
    for _ in 0..RECORDS {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => lines.extend(text(&String::from_utf8_lossy(&buffer[..len]))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // EPIPE: the record was overwritten meanwhile; the next read goes on behind it.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(error) => return Err(format!("can't read /dev/kmsg: {error}")),
        }
    }
    Ok(lines)
}

fn text(record: &str) -> Option<String> {
    let (_, text) = record.split_once(';')?;
    text.lines().next().map(str::to_owned)
}

/// Prints the messages that complain, and how many they are.
pub(crate) fn complaints(messages: &Result<Vec<String>, String>) {
    let messages = match messages {
        Ok(messages) => messages,
        Err(why) => return println!("complaints unknown: {why}"),
    };
    let complains = |line: &&String| {
        COMPLAINTS.iter().any(|word| line.contains(word)) && !line.contains(NO_COMPLAINT)
    };
    let found: Vec<_> = messages.iter().filter(complains).collect();
    for line in &found {
        println!("complaint {line}");
    }
    println!("complaints {}", found.len());
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_record_is_its_first_line_without_header() {
        let record = "6,339,5140900,-;NET: Registered protocol family 10\n SUBSYSTEM=net\n";
        assert_eq!(super::text(record).as_deref(), Some("NET: Registered protocol family 10"));
        assert_eq!(super::text("odd"), None);
    }
}
