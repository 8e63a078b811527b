//! Patterns in which `*` is any text.

/// Whether the whole of `text` is what `pattern` says.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // The last `*`, and up to where it reaches: longer only where what follows does not fit.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == text[read] => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((before, reaches)) => {
                    star = Some((before, reaches + 1));
                    (at, read) = (before + 1, reaches + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_text_and_all_else_is_itself() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "x"),
            ("PORT", "PORT"),
            ("NGINX_*", "NGINX_"),
            ("NGINX_*", "NGINX_HOST"),
            ("*.conf", "/etc/redis.conf"),
            ("a*b*c", "a-b-b-c"),
            ("**a", "aaa"),
        ] {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "x"), ("PORT", "PORTS"), ("NGINX_*", "nginx_x"), ("*.conf", "x.confs"), ("a*b*c", "acb")]
        {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
