//! What the lab host tells the side that started it, on its third serial port.
//!
//! A record is one line of ASCII words; `file` is followed by that many raw bytes:
//! ```text
//! ready UPTIME CLOCKSOURCE     the lab host is up (seconds) and keeps time by CLOCKSOURCE
//! file NAME LENGTH SHA256      LENGTH bytes follow at once
//! exit CODE                    the script ended; nothing follows
//! fail REASON...               the lab host itself couldn't do its work; nothing follows
//! ```
//! A serial port may lose bytes when its reader stalls, so files carry their SHA-256.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// The longest line of a record, in bytes.
pub const LINE_MAX: usize = 4096;
/// The longest file that comes back, in bytes.
pub const FILE_MAX: usize = 64 << 20;
/// The most bytes that all files together may have.
pub const TOTAL_MAX: usize = 256 << 20;

/// Why the lab host's report can't be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReportError {
    /// A line that isn't a record.
    #[error("the lab host's report has an unknown record: {line:?}")]
    Record {
        /// The line as it came.
        line: String,
    },
    /// A line past [`LINE_MAX`].
    #[error("the lab host's report has a line of more than {LINE_MAX} bytes")]
    LongLine,
    /// More bytes announced than taken.
    #[error(
        "the lab host sends {length} bytes as file {name:?}; at most {FILE_MAX} for a file and {TOTAL_MAX} in all are taken"
    )]
    LongFile {
        /// The file's name in `/out`.
        name: String,
        /// The length that was announced.
        length: usize,
    },
    /// A file whose bytes aren't those that were sent.
    #[error("file {name:?} came back damaged: SHA-256 {got} instead of {expected}")]
    Damaged {
        /// The file's name in `/out`.
        name: String,
        /// The sum that the lab host announced.
        expected: String,
        /// The sum of the bytes that came.
        got: String,
    },
}

/// How the lab host ended its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The script ended with this code.
    Exit(i32),
    /// The lab host couldn't do its work.
    Fail(String),
}

/// The report so far: fed with bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Report {
    pending: Vec<u8>,
    file: Option<Announced>,
    total: usize,
    ready: Option<Ready>,
    files: BTreeMap<String, Vec<u8>>,
    end: Option<End>,
}

/// What the lab host says once it is up.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// Seconds since its kernel started.
    pub uptime: f64,
    /// The kernel's clocksource. KVM's master clock needs `tsc`.
    pub clocksource: String,
}

#[derive(Debug)]
struct Announced {
    name: String,
    length: usize,
    sha256: String,
}

impl Report {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), ReportError> {
        self.pending.extend_from_slice(bytes);
        while self.end.is_none() {
            if let Some(file) = self.file.take_if(|file| self.pending.len() >= file.length) {
                let rest = self.pending.split_off(file.length);
                let content = std::mem::replace(&mut self.pending, rest);
                let got = hex(&Sha256::digest(&content));
                if got != file.sha256 {
                    let Announced { name, sha256: expected, .. } = file;
                    return Err(ReportError::Damaged { name, expected, got });
                }
                self.files.insert(file.name, content);
                continue;
            }
            if self.file.is_some() {
                return Ok(());
            }
            let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') else {
                let long = self.pending.len() > LINE_MAX;
                return if long { Err(ReportError::LongLine) } else { Ok(()) };
            };
            let rest = self.pending.split_off(end + 1);
            let line = std::mem::replace(&mut self.pending, rest);
            if line.len() > LINE_MAX {
                return Err(ReportError::LongLine);
            }
            self.record(String::from_utf8_lossy(&line).trim_end())?;
        }
        Ok(())
    }

    fn record(&mut self, line: &str) -> Result<(), ReportError> {
        let unknown = || ReportError::Record { line: line.to_owned() };
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["ready", uptime, clocksource] => {
                let uptime = uptime.parse().map_err(|_| unknown())?;
                self.ready = Some(Ready { uptime, clocksource: (*clocksource).to_owned() });
            }
            ["file", name, length, sha256] => {
                let length: usize = length.parse().map_err(|_| unknown())?;
                let name = (*name).to_owned();
                self.total = self.total.saturating_add(length);
                if length > FILE_MAX || self.total > TOTAL_MAX {
                    return Err(ReportError::LongFile { name, length });
                }
                self.file = Some(Announced { name, length, sha256: (*sha256).to_owned() });
            }
            ["exit", code] => self.end = Some(End::Exit(code.parse().map_err(|_| unknown())?)),
            ["fail", reason @ ..] => self.end = Some(End::Fail(reason.join(" "))),
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// What the lab host said when it came up, if it did.
    pub(super) fn ready(&self) -> Option<&Ready> {
        self.ready.as_ref()
    }

    /// How the report ended, if it did.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The files that came back whole, by name.
    pub(super) fn into_files(self) -> BTreeMap<String, Vec<u8>> {
        self.files
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn announce(name: &str, content: &[u8]) -> Vec<u8> {
        let sum = hex(&Sha256::digest(content));
        let mut bytes = format!("file {name} {} {sum}\n", content.len()).into_bytes();
        bytes.extend_from_slice(content);
        bytes
    }

    #[test]
    fn a_whole_report_in_any_pieces() {
        let mut bytes = b"ready 2.41 tsc\n".to_vec();
        bytes.extend(announce("stats.json", b"{}\nexit 9\n\0\xff"));
        bytes.extend(announce("empty", b""));
        bytes.extend_from_slice(b"exit 3\n");
        for step in [1, 2, 7, bytes.len()] {
            let mut report = Report::default();
            for piece in bytes.chunks(step) {
                report.feed(piece).unwrap();
            }
            let ready = Ready { uptime: 2.41, clocksource: "tsc".into() };
            assert_eq!(report.ready(), Some(&ready));
            assert_eq!(report.end(), Some(&End::Exit(3)));
            let files = report.into_files();
            assert_eq!(files["stats.json"], b"{}\nexit 9\n\0\xff");
            assert_eq!(files["empty"], b"");
        }
    }

    #[test]
    fn a_reason_keeps_its_words() {
        let mut report = Report::default();
        report.feed(b"fail no /dev/kvm\n").unwrap();
        assert_eq!(report.end(), Some(&End::Fail("no /dev/kvm".into())));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let mut bytes = announce("log", b"hello");
        *bytes.last_mut().unwrap() = b'0';
        let error = Report::default().feed(&bytes).unwrap_err();
        assert!(error.to_string().starts_with("file \"log\" came back damaged"), "{error}");
    }

    #[test]
    fn limits_hold_at_and_past_them() {
        let sum = "0".repeat(64);
        let mut report = Report::default();
        report.feed(format!("file a {FILE_MAX} {sum}\n").as_bytes()).unwrap();
        let past = format!("file a {} {sum}\n", FILE_MAX + 1);
        let error = Report::default().feed(past.as_bytes()).unwrap_err();
        assert!(matches!(error, ReportError::LongFile { .. }));

        let line = format!("fail {}", "x".repeat(LINE_MAX - 6));
        Report::default().feed(format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(
            Report::default().feed(format!("{line}x\n").as_bytes()),
            Err(ReportError::LongLine)
        );
        assert_eq!(Report::default().feed(&vec![b'x'; LINE_MAX + 1]), Err(ReportError::LongLine));
    }

    #[test]
    fn noise_is_an_error_not_a_guess() {
        for line in ["", "hello", "exit", "exit x", "file a b c", "ready soon tsc", "file a -1 00"]
        {
            let error = Report::default().feed(format!("{line}\n").as_bytes()).unwrap_err();
            assert_eq!(error, ReportError::Record { line: line.to_owned() });
        }
    }
}
