//! One source of choices: a seeded generator, a recorded tape, or foreign bytes that run out into zeros.
//!
//! Owns how a choice is drawn and recorded. A choice of 0 always is the kindest one, so that a tape that has run out
//! plays a dull story. Choices are kept in segments, one a step, so that a step can be dropped without shifting the
//! others.

/// See the module.
#[derive(Debug)]
pub(crate) struct Entropy {
    source: Source,
    /// What was drawn, segment by segment.
    record: Vec<Vec<u32>>,
}

#[derive(Debug)]
enum Source {
    Seed(u64),
    Tape { segments: Vec<Vec<u32>>, at: usize },
    Bytes { bytes: Vec<u8>, at: usize },
}

impl Entropy {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::new(Source::Seed(seed ^ 0x5EED_D1A4_0405))
    }

    /// Plays recorded segments again; where one runs out, zeros follow.
    pub(crate) fn taped(segments: Vec<Vec<u32>>) -> Self {
        Self::new(Source::Tape { segments, at: 0 })
    }

    /// Foreign bytes, as a fuzzer has them.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self::new(Source::Bytes {
            bytes: bytes.to_vec(),
            at: 0,
        })
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            record: vec![Vec::new()],
        }
    }

    /// Begins the next step's segment.
    pub(crate) fn segment(&mut self) {
        if let Source::Tape { at, .. } = &mut self.source {
            *at = 0;
        }
        self.record.push(Vec::new());
    }

    /// Whether nothing but zeros can follow.
    pub(crate) fn is_spent(&self) -> bool {
        match &self.source {
            Source::Seed(_) => false,
            Source::Tape { segments, .. } => self.record.len() >= segments.len(),
            Source::Bytes { bytes, at } => *at >= bytes.len(),
        }
    }

    /// What was drawn so far.
    pub(crate) fn record(&self) -> &[Vec<u32>] {
        &self.record
    }

    /// A number below `limit`; 0 where there is nothing to choose.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        if limit <= 1 {
            return 0;
        }
        let segment = self.record.len() - 1;
        let choice = match &mut self.source {
            Source::Seed(state) => reduce(next(state), limit),
            Source::Tape { segments, at } => {
                let drawn = segments.get(segment).and_then(|s| s.get(*at)).copied();
                *at += 1;
                drawn.unwrap_or(0) % limit
            }
            Source::Bytes { bytes, at } => {
                let width = if limit <= 256 { 1 } else { 4 };
                let mut drawn = 0_u32;
                for _ in 0..width {
                    drawn = drawn << 8 | u32::from(bytes.get(*at).copied().unwrap_or(0));
                    *at += 1;
                }
                drawn % limit
            }
        };
        if let Some(segment) = self.record.last_mut() {
            segment.push(choice);
        }
        choice
    }

    /// True with a chance of `per_cent`; false is the kind choice.
    pub(crate) fn chance(&mut self, per_cent: u32) -> bool {
        self.below(100) >= 100 - per_cent.min(100)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// One of a few, the first one being the kind choice.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let count = u32::try_from(choices.len()).unwrap_or(u32::MAX);
        choices[self.below(count) as usize]
    }

    /// An index by weight; the first one that has a weight is the kind choice.
    pub(crate) fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u32 = weights.iter().sum();
        let mut left = self.below(total);
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        0
    }
}

/// splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The high half of the product: a number below `limit`.
fn reduce(random: u64, limit: u32) -> u32 {
    let wide = (random >> 32) * u64::from(limit);
    u32::try_from(wide >> 32).unwrap_or(0)
}
