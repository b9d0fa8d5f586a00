//! Keys that are for the runtime rather than the guest: Ctrl-A and one more.

/// Ctrl-A.
const PREFIX: u8 = 0x01;

/// What somebody typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// For the guest.
    Bytes(Vec<u8>),
    /// Ctrl-A X: end the cluster.
    Quit,
    /// Ctrl-A H: which keys there are.
    Help,
}

/// Remembers a Ctrl-A between reads.
#[derive(Debug, Default)]
pub(crate) struct Escape {
    prefixed: bool,
}

impl Escape {
    /// Splits typed bytes into keys. Ctrl-A twice is one Ctrl-A for the guest.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut plain = Vec::new();
        for &byte in bytes {
            match (std::mem::take(&mut self.prefixed), byte) {
                (false, PREFIX) => self.prefixed = true,
                (true, b'x' | b'X') => flush(&mut keys, &mut plain, Key::Quit),
                (true, b'h' | b'H' | b'?') => flush(&mut keys, &mut plain, Key::Help),
                (_, byte) => plain.push(byte),
            }
        }
        if !plain.is_empty() {
            keys.push(Key::Bytes(plain));
        }
        keys
    }
}

fn flush(keys: &mut Vec<Key>, plain: &mut Vec<u8>, key: Key) {
    if !plain.is_empty() {
        keys.push(Key::Bytes(std::mem::take(plain)));
    }
    keys.push(key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_wherever_reads_cut_them() {
        let table: [(&[&[u8]], &[Key]); 5] = [
            (&[b"ls\r"], &[Key::Bytes(b"ls\r".to_vec())]),
            (&[b"ls\x01x"], &[Key::Bytes(b"ls".to_vec()), Key::Quit]),
            (&[b"\x01", b"X"], &[Key::Quit]),
            (&[b"\x01\x01"], &[Key::Bytes(vec![PREFIX])]),
            (&[b"\x01h\x01q"], &[Key::Help, Key::Bytes(b"q".to_vec())]),
        ];
        for (reads, keys) in table {
            let mut escape = Escape::default();
            let got: Vec<_> = reads.iter().flat_map(|bytes| escape.feed(bytes)).collect();
            assert_eq!(got, keys, "{reads:?}");
        }
    }
}
