//! The reader of descriptor 3: it never panics, and accepts only a flat TOML table of strings.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use preverb::fuzzing::written_variables;

fuzz_target!(|data: &[u8]| {
    let read = written_variables(data);

    // A text that another TOML reader accepts as a flat table of strings, with names and values that a
    // variable can have, is accepted here, too.
    let text = std::str::from_utf8(data).ok();
    let oracle =
        text.and_then(|text| toml::from_str::<BTreeMap<String, String>>(text).ok()).filter(|table| {
            table
                .iter()
                .all(|(name, value)| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'))
        });
    let ours = read.as_ref().ok().map(|variables| {
        let table: BTreeMap<Vec<u8>, Vec<u8>> = variables.iter().cloned().collect();
        assert_eq!(table.len(), variables.len(), "a name twice");
        table
    });
    let theirs = oracle.map(|table| {
        table
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect::<BTreeMap<_, _>>()
    });
    assert_eq!(ours, theirs, "{read:?}");

    // The variables come back when they are written again.
    if let Ok(variables) = read {
        let quoted = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).expect("TOML is UTF-8");
            let escaped: String = text.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
            format!("\"{escaped}\"")
        };
        let again: String =
            variables.iter().map(|(name, value)| format!("{} = {}\n", quoted(name), quoted(value))).collect();
        assert_eq!(written_variables(again.as_bytes()), Ok(variables));
    }
});
