//! What can go wrong with a lab, with what to do about it.

use std::time::Duration;

use super::report::ReportError;

/// Why a lab run has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The operating system refused something that the lab needs around QEMU.
    #[error("the lab can't {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A program didn't start.
    #[error("the lab can't start {program}")]
    Start {
        /// Which program.
        program: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The packages or files of the lab host couldn't be put together.
    #[error("the lab host's kernel and initramfs can't be built")]
    Build(#[source] Box<pangea_images::ImageError>),
    /// The lab host didn't say that it is up.
    #[error("the lab host wasn't up after {} s; it said last:\n{tail}", limit.as_secs())]
    Boot {
        /// How long it was given.
        limit: Duration,
        /// The end of its log.
        tail: String,
    },
    /// The script didn't end in time.
    #[error("the lab run had not ended after {} s; it said last:\n{tail}", limit.as_secs())]
    Timeout {
        /// How long it was given.
        limit: Duration,
        /// The end of its log.
        tail: String,
    },
    /// QEMU ended before the script did.
    #[error("QEMU ended ({status}) before the lab run did; it said:\n{complaints}{tail}")]
    Died {
        /// How it ended.
        status: std::process::ExitStatus,
        /// QEMU's own words.
        complaints: String,
        /// The end of the lab host's log.
        tail: String,
    },
    /// The lab host came up but couldn't do its work.
    #[error("the lab host failed: {reason}; it said last:\n{tail}")]
    Host {
        /// Its own words.
        reason: String,
        /// The end of its log.
        tail: String,
    },
    /// The report can't be understood.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// It was stopped before its script ran.
    #[error("the lab run was stopped before its host was up")]
    StoppedEarly,
    /// It was asked to stop and didn't within the grace given.
    #[error("the lab run was stopped, and had to be ended {} s after it was asked to", grace.as_secs())]
    Stopped {
        /// How long it was given.
        grace: Duration,
    },
}

impl LabError {
    /// For `map_err`: wraps an I/O error with what was tried.
    pub(super) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: the lab host's image couldn't be built.
    pub(super) fn build(source: pangea_images::ImageError) -> Self {
        Self::Build(Box::new(source))
    }

    /// What to do next, where that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Start { .. } => Some("cargo xtask doctor says what is missing".into()),
            Self::Boot { .. } | Self::Timeout { .. } => {
                Some("a busy machine may need more time: --timeout SECONDS".into())
            }
            _ => None,
        }
    }
}
