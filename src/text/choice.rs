//! Enums of which each variant is written as a word; the first is the default.

/// Defines one.
macro_rules! choice {
    ($(#[$meta:meta])* $type:ident {
        $first:ident = $word:literal $(, $other:ident = $others:literal)* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub(crate) enum $type {
            #[default]
            $first,
            $($other),*
        }

        impl $type {
            /// The words, in the order of the variants.
            pub(crate) const NAMES: [&'static str; [$word $(, $others)*].len()] = [$word $(, $others)*];
            /// The variants.
            pub(crate) const ALL: [Self; Self::NAMES.len()] = [Self::$first $(, Self::$other)*];

            /// What this word stands for.
            pub(crate) fn parse(word: &str) -> Option<Self> {
                Self::NAMES.iter().position(|name| *name == word).map(|number| Self::ALL[number])
            }

            /// Its word.
            pub(crate) fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

pub(crate) use choice;
