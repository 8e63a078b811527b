//! A target in any form: its parser does not panic, and a login is not shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use preverb::fuzzing::target;

fuzz_target!(|data: &[u8]| {
    let (_, shown) = target(data);
    let start = data.windows(3).position(|window| window == b"://").map(|at| at + 3);
    let end = data.iter().rposition(|byte| *byte == b'@');
    if let (Some(start), Some(end)) = (start, end)
        && start <= end
    {
        let beginning = [&data[..start], b"***@"].concat();
        let cut = beginning.iter().position(|byte| *byte == b'?').unwrap_or(beginning.len());
        assert_eq!(shown.get(..cut), beginning.get(..cut));
        assert!(!shown.contains(&b'?'));
    }
});
