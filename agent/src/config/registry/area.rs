//! Parts of the agent that do not exist yet, and what happens in their place.

/// A part of the agent that is a separate piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Checking the medium.
    Check,
    /// Fetching over the network.
    Network,
    /// Verified images.
    Verity,
}

impl Area {
    /// All parts, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Check, Self::Network, Self::Verity];

    /// The short name used in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Network => "network",
            Self::Verity => "verity",
        }
    }

    /// What the part does: the beginning of a warning.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Check => "the media check",
            Self::Network => "this part of the network",
            Self::Verity => "verification of the image",
        }
    }

    /// What happens as long as the part is missing: the end of a warning.
    pub const fn instead(self) -> &'static str {
        match self {
            Self::Check => "booting without the check",
            Self::Network => "going on without it; other programs of the initrd may obey it",
            Self::Verity => "mounting the image without these options",
        }
    }
}
