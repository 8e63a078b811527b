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

            pub(crate) fn parse(word: &str) -> Option<Self> {
                [Self::$first $(, Self::$other)*].into_iter().find(|each| each.name() == word)
            }

            pub(crate) fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

pub(crate) use choice;
