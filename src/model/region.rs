//! The regions that phone numbers belong to.

pub use rlibphonenumber::Region;

/// The regions that libphonenumber has numbers for. To ask libphonenumber would load its metadata. It also takes codes such as
/// `UK` and `EU`, and then calls each of their numbers invalid.
const REGIONS: &str = "\
    AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA \
    CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR \
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO \
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT \
    TV TW TZ UA UG US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Returns the region with the ISO 3166-1 code `code`, such as `US`.
///
/// # Errors
/// Returns what is wrong, to follow the name of a key, if there is no such region or if it has no phone numbers.
pub fn parse_region(code: &str) -> Result<Region, &'static str> {
    let code = code.to_ascii_uppercase();
    let is_known = REGIONS.split_whitespace().any(|known| known == code);
    code.parse().ok().filter(|_| is_known).ok_or(match code.as_str() {
        "UK" => "takes ISO 3166-1 codes; that of the United Kingdom is GB",
        _ => "takes the ISO 3166-1 code of a region with phone numbers, such as US",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_known_in_any_case_and_others_are_refused() {
        assert_eq!(parse_region("US"), parse_region("us"));
        for unknown in ["", "ZZ", "XX", "UK", "EU", "001", "USA", "Germany"] {
            assert!(parse_region(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn the_regions_are_those_that_libphonenumber_has_numbers_of() {
        let regions = rlibphonenumber::PHONE_NUMBER_UTIL.get_supported_regions();
        let mut codes: Vec<_> = regions.map(|region| region.to_string()).collect();
        codes.sort_unstable();
        assert_eq!(REGIONS.split_whitespace().collect::<Vec<_>>(), codes);
        assert!(codes.iter().all(|code| parse_region(code).is_ok()));
    }
}
