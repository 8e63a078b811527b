//! Enums with a name for each variant; the first variant is the default.

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

        #[allow(dead_code, reason = "not every enum is parsed and shown")]
        impl $type {
            pub(crate) const NAMES: [&'static str; [$word $(, $others)*].len()] = [$word $(, $others)*];
            pub(crate) const ALL: [Self; Self::NAMES.len()] = [Self::$first $(, Self::$other)*];

            pub(crate) fn parse(word: &str) -> Option<Self> {
                Self::NAMES.iter().position(|name| *name == word).map(|number| Self::ALL[number])
            }

            pub(crate) fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

pub(crate) use choice;
