//! Why a sample was filtered, and how many were.

/// In the order in which the filters are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A message that was understood but holds no value, as `{}`.
    NoValues,
    /// By a rule with the action `deny`.
    Denied,
    TooOld,
    TooFarInFuture,
    /// NaN or an infinity, or beyond the largest number (after its conversion as well).
    NotFinite,
    OutOfRange,
    /// Received before: the same series, device time and value.
    Duplicate,
    /// Too near the last stored value.
    Deadband,
}

impl Reason {
    pub const ALL: [Reason; 8] = [
        Reason::NoValues,
        Reason::Denied,
        Reason::TooOld,
        Reason::TooFarInFuture,
        Reason::NotFinite,
        Reason::OutOfRange,
        Reason::Duplicate,
        Reason::Deadband,
    ];

    /// A bounded word, for counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NoValues => "no_values",
            Reason::Denied => "denied",
            Reason::TooOld => "too_old",
            Reason::TooFarInFuture => "too_far_in_future",
            Reason::NotFinite => "not_finite",
            Reason::OutOfRange => "out_of_range",
            Reason::Duplicate => "duplicate",
            Reason::Deadband => "deadband",
        }
    }
}

/// A number for each reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; Reason::ALL.len()]);

impl Counts {
    pub fn add(&mut self, reason: Reason) {
        self.add_many(reason, 1);
    }

    pub fn add_many(&mut self, reason: Reason, count: u64) {
        self.0[reason as usize] += count;
    }

    pub fn merge(&mut self, other: &Counts) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    pub fn get(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.0)
    }
}
