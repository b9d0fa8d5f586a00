//! SHA-256 (FIPS 180-4) of bytes and files, written as 64 lower-case hexadecimal digits.

use crate::BundleError;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::{fmt, str::FromStr};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

/// The digest of a regular file, and its size in bytes. Links and devices are refused: what was
/// digested must be what is read later.
pub fn digest_file(path: &Path) -> Result<(Digest, u64), BundleError> {
    let failed = |cause| BundleError::Read { path: path.to_owned(), cause };
    if !path.symlink_metadata().map_err(failed)?.is_file() {
        return Err(BundleError::NotAFile { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(failed)?;
    let (mut sha, mut size, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let n = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(failed(e)),
        };
        sha.update(&chunk[..n]);
        size += n as u64;
    }
    Ok((Digest(sha.finalize().into()), size))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text isn't a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is 64 hexadecimal digits in lower case")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        let nibble = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(NotADigest),
        };
        let bytes: &[u8; 64] = text.as_bytes().try_into().map_err(|_| NotADigest)?;
        let mut digest = [0; 32];
        for (out, pair) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
            *out = pair.iter().try_fold(0, |n, &b| Ok(n << 4 | nibble(b)?))?;
        }
        Ok(Digest(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_form_is_that_of_sha256sum_and_reads_back() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        for bad in
            ["", &text[1..], &text.to_uppercase(), &text.replace('b', "é"), &format!("{text}0")]
        {
            assert_eq!(bad.parse::<Digest>(), Err(NotADigest), "{bad}");
        }
    }

    #[test]
    fn a_file_digests_like_its_bytes_and_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        let bytes = vec![7; CHUNK + 1];
        std::fs::write(&file, &bytes).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(digest_file(&file).unwrap(), (Digest::of(&bytes), bytes.len() as u64));
        assert!(matches!(digest_file(&link), Err(BundleError::NotAFile { .. })));
        assert!(matches!(digest_file(&dir.path().join("none")), Err(BundleError::Read { .. })));
    }
}
