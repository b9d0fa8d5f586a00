//! The file's shape, and nothing of its meaning: which keys there are and where their values stand.
//! Unknown keys are refused here; values are text until `valid` has understood them.

use serde::Deserialize;
use serde_saphyr::Spanned;

/// A value that may be left out, with its place.
pub(crate) type Scalar = Option<Spanned<String>>;

/// Just the version: read first, so that a newer file isn't blamed for its new keys.
#[derive(Deserialize)]
pub(crate) struct RawVersion {
    pub(crate) version: Scalar,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawCluster {
    pub(crate) version: Scalar,
    pub(crate) name: Scalar,
    pub(crate) guest: Option<RawGuest>,
    pub(crate) nodes: Option<Spanned<Vec<Spanned<RawNode>>>>,
    pub(crate) links: Option<RawLinks>,
    pub(crate) failure: Option<RawFailure>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawGuest {
    pub(crate) os: Scalar,
    pub(crate) boot: Scalar,
    pub(crate) kernel: Scalar,
    pub(crate) initrd: Scalar,
    pub(crate) command_line: Scalar,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawNode {
    pub(crate) name: Scalar,
    pub(crate) address: Scalar,
    pub(crate) vcpus: Scalar,
    pub(crate) memory: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawLinks {
    pub(crate) default: Option<Spanned<RawLink>>,
    #[serde(default)]
    pub(crate) pairs: Vec<Spanned<RawPair>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawLink {
    pub(crate) distance: Scalar,
    pub(crate) latency: Scalar,
    pub(crate) bandwidth: Scalar,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawPair {
    pub(crate) between: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) distance: Scalar,
    pub(crate) latency: Scalar,
    pub(crate) bandwidth: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawFailure {
    pub(crate) peer_deadline: Scalar,
}
