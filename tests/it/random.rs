//! A small generator with a fixed seed: the same values in every run.

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Bytes that an argument or a value may have: any but NUL.
    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        const ODD: &[u8] = b" \t\n\\\"'$`*-={}\x1b\xff\xc3%";
        let one = |random: &mut Self| match random.below(3) {
            0 => ODD[random.below(ODD.len())],
            1 => u8::try_from(1 + random.below(255)).unwrap(),
            _ => b"abcXYZ09"[random.below(8)],
        };
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }
}
