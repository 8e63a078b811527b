//! The `${...}` parser: it never panics, and keeps these promises.

#![no_main]

use libfuzzer_sys::fuzz_target;
use preverb::fuzzing::{expand, names, render};

fuzz_target!(|data: &[u8]| {
    // A file of `render` can be any bytes.
    let rendered = render(data, &[]);
    let Ok(text) = std::str::from_utf8(data) else { return };

    // A string of the table and a text of `render` mean the same. (A text stops at the first error;
    // a string is first parsed completely.)
    let expanded = expand(text, &[]);
    match (&expanded, &rendered) {
        (Some(Ok(a)), Some(Ok(b))) => assert_eq!(a, b),
        (Some(Err(a)), Some(Err(b))) => assert_eq!(a, b),
        (None, None | Some(Err(_))) => {}
        different => panic!("{different:?}"),
    }

    // A text without `${` stays as it is.
    if !text.contains("${") {
        assert_eq!(expanded, Some(Ok(data.to_vec())));
    }

    // Any text is unchanged by the expansion once its `${` are written `$${`.
    let escaped = text.replace("${", "$${");
    assert_eq!(expand(&escaped, &[]), Some(Ok(data.to_vec())));

    // With all names set nothing is missing, and values are not expanded again. With none set, each missing
    // name is reported once, until none is missing.
    let Some(first) = expanded else { return };
    let names = names(text);
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"${x}"[..])).collect();
    let whole = expand(text, &entries).expect("it is well-formed").expect("all is set");
    assert!(whole.len() <= data.len() * 4);
    let mut given: Vec<(&str, &[u8])> = Vec::new();
    let mut outcome = first;
    while let Err(missing) = outcome {
        let name = names.iter().find(|name| **name == missing).expect("a name that is mentioned");
        assert!(!given.iter().any(|(each, _)| each == name), "reported twice");
        given.push((name, b"v"));
        outcome = expand(text, &given).expect("it is well-formed");
    }
});
