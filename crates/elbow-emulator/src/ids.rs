//! Identifiers: hexadecimal, unguessable to look at, and the same for the same seed and calls.

use sha2::{Digest, Sha256};

/// Makes identifiers out of a seed and a counter.
#[derive(Clone, Debug)]
pub(crate) struct IdSource {
    seed: u64,
    counter: u64,
}

impl IdSource {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next identifier of that many hexadecimal digits (at most 64).
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        self.counter += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(self.counter.to_be_bytes());
        let mut text = hex::encode(hash.finalize());
        text.truncate(digits);
        text
    }

    /// An EC2 resource id: the prefix, a hyphen and 17 digits, as in `sg-0123456789abcdef0`.
    pub(crate) fn ec2(&mut self, prefix: &str) -> String {
        // EC2's long ids have 17 digits, of which the first is 0.
        format!("{prefix}-0{}", self.hex(16))
    }

    /// A random-looking UUID (version 4 in form).
    pub(crate) fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!(
            "{}-{}-4{}-a{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_ids() {
        let ids = |seed| {
            let mut source = IdSource::new(seed);
            (source.hex(16), source.ec2("eni"), source.uuid())
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
        let (hex, eni, uuid) = ids(7);
        assert_eq!((hex.len(), eni.len(), uuid.len()), (16, 21, 36));
    }
}
