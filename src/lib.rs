//! preverb: one image, many verbs.
