//! Starts preverb.

fn main() {}
