//! Why changes are not kept: a number to look it up, what stands in the way, and what to do about it.
//!
//! Plans and probes give a reason as text, `cause; what to do`; one that a step gave begins with its number.

use crate::error::{Code, Stop};

/// The reason as an error, complete: with [`Code::AreaUnavailable`] and the number's own remedy where it does not say more.
pub fn stop(why: &str) -> Stop {
    let numbered = why.split_once(": ").and_then(|(code, rest)| Some((Code::try_from(code.to_owned()).ok()?, rest)));
    let (code, why) = numbered.unwrap_or((Code::AreaUnavailable, why));
    match why.rsplit_once("; ") {
        Some((cause, advice)) => Stop::new(code, cause).advice(advice),
        None => Stop::new(code, why),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::area::refuses_writes;
    use crate::error::ELSEWHERE;

    #[test]
    fn every_reason_has_a_number_and_says_what_to_do() {
        for (why, expected) in [
            ("/dev/sr0 is optical", format!("RDL-050: /dev/sr0 is optical; {ELSEWHERE}")),
            ("no room; use a larger stick", "RDL-050: no room; use a larger stick".to_owned()),
            ("RDL-053: mkfs: a; b; try again", "RDL-053: mkfs: a; b; try again".to_owned()),
            ("RDL-060: no key", "RDL-060: no key; boot again to be asked again".to_owned()),
            ("RDL-999: text", format!("RDL-050: RDL-999: text; {ELSEWHERE}")),
            ("/dev/sda: the table; cut", "RDL-050: /dev/sda: the table; cut".to_owned()),
        ] {
            assert_eq!(stop(why).with_advice(), expected, "{why}");
        }
        let refused = stop(&refuses_writes(Path::new("/dev/sda"))).with_advice();
        assert!(refused.starts_with("RDL-050: /dev/sda refuses writes; "), "{refused}");
    }

    #[test]
    fn each_error_of_an_area_has_a_remedy() {
        let of_an_area = |code: &&Code| (50..70).contains(&code.number());
        for code in Code::ALL.iter().filter(of_an_area) {
            let text = Stop::new(*code, "why").with_advice();
            assert!(text.contains("; "), "{text}");
        }
    }
}
