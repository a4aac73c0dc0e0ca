//! Numbers that look random and are the same for the same seed on every machine (SplitMix64).

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of this seed, for one purpose.
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: the standard library's hash may change with the compiler, and seeds should outlive it.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(purpose.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when there is none.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_purpose_always_give_the_same() {
        let three = |seed, purpose| {
            let mut random = Random::new(seed, purpose);
            [random.below(100), random.below(100), random.below(100)]
        };
        assert_eq!(three(1, "points"), three(1, "points"));
        assert_ne!(three(1, "points"), three(2, "points"));
        assert_ne!(three(1, "points"), three(1, "cache"));
        assert_eq!(Random::new(1, "").below(0), 0);
        // SplitMix64's own first number, so that old seeds keep their meaning.
        assert_eq!(Random(0).next(), 0xe220_a839_7b1d_cdaf);
    }
}
