//! Chance with a seed, so that two runs tell the same story. The generator is SplitMix64 (Steele, Lea, Flood, 2014).

/// A source of chance.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The one with this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of the choices, of which there must be one.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// How long something took, in milliseconds: mostly near `typical`, with a long tail.
    pub(super) fn latency_ms(&mut self, typical: u64) -> u64 {
        let near = typical / 2 + self.below(typical.max(1));
        if self.once_in(40) { near * (5 + self.below(20)) } else { near }
    }

    /// A trace id: 32 hex digits.
    pub(super) fn trace_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.bits(), self.bits())
    }

    /// A span id: 16 hex digits.
    pub(super) fn span_id(&mut self) -> String {
        format!("{:016x}", self.bits())
    }
}
