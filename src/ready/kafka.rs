//! Kafka (its documentation, "Protocol": "Protocol Request Header", "`ApiVersions` API"): a broker that is up
//! answers `ApiVersions`, which needs no login.

use crate::ready::connection::Parsed;

/// `ApiVersions`, version 0, correlation id 7, client id `preverb`.
pub(crate) const REQUEST: &[u8] = b"\0\0\0\x11\0\x12\0\0\0\0\0\x07\0\x07preverb";
/// The maximum size of an answer: six bytes for each of about a hundred APIs.
const LONGEST: u32 = 12 * 1024;
/// The error of a broker that no longer supports version 0, sent in version 0.
const UNSUPPORTED_VERSION: u8 = 35;

/// Parses the whole answer: its size, the correlation id, the error, the number of APIs, six bytes for each.
pub(crate) fn versions(bytes: &[u8]) -> Parsed<()> {
    let foreign = || Err("the answer is not from a Kafka broker".to_owned());
    let Some((size, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let size = u32::from_be_bytes(*size);
    if !(10..=LONGEST).contains(&size) {
        return foreign();
    }
    let Some(head) = rest.first_chunk::<10>() else { return Ok(None) };
    let [0, 0, 0, 7, 0, 0 | UNSUPPORTED_VERSION, count @ ..] = head else { return foreign() };
    // Later versions of the answer have more fields after the APIs.
    if u64::from(u32::from_be_bytes(*count)) * 6 + 10 > u64::from(size) {
        return foreign();
    }
    let whole = usize::try_from(size).unwrap_or(usize::MAX);
    Ok((rest.len() >= whole).then_some(((), whole + 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: u32, error: u16, apis: u32) -> Vec<u8> {
        let mut body = [&id.to_be_bytes()[..], &error.to_be_bytes(), &apis.to_be_bytes()].concat();
        for api in 0..apis {
            body.extend([0, u8::try_from(api).unwrap(), 0, 0, 0, 9]);
        }
        [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
    }

    #[test]
    fn the_size_field_of_the_request_is_right() {
        assert_eq!(REQUEST.len(), 4 + usize::from(REQUEST[3]));
    }

    #[test]
    fn a_broker_that_lists_its_versions_is_ready() {
        for error in [0, UNSUPPORTED_VERSION.into()] {
            let answer = answer(7, error, 61);
            assert_eq!(versions(&answer), Ok(Some(((), answer.len()))));
            for end in 0..answer.len() {
                assert_eq!(versions(&answer[..end]), Ok(None), "{end}");
            }
        }
    }

    #[test]
    fn other_answers_are_not_from_a_broker() {
        let mut too_many = answer(7, 0, 2);
        too_many[10..14].copy_from_slice(&[0xff; 4]);
        for other in [
            answer(8, 0, 2),
            answer(7, 1, 2),
            too_many,
            b"HTTP/1.1 400 Bad".to_vec(),
            vec![0; 4],
            vec![0xff; 4],
        ] {
            assert!(versions(&other).is_err(), "{}", other.escape_ascii());
        }
    }
}
