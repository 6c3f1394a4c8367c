//! `pii(text)`: where a text gives away something about a person.

use datafusion_expr::ScalarUDF;

use crate::findings::{findings, findings_type};
use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "pii",
        description: "Personal data in a text as a list of {kind, start, end, score}, in characters from 0, `end` exclusive. Kinds: email, phone, card, \
                      iban, ipv4, ipv6, mac, crypto_wallet, url_credentials, profile_url, address, coordinates, birth_date, passport, driver_license, and \
                      national numbers by country (us_ssn, de_tax_id, uk_nino, fr_nir …). What has a check digit passes it; what has no form of its own \
                      needs a word near by; version numbers and private addresses are no ipv4.",
        example: "SELECT doc_id, unnest(pii(text)) FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: findings_type(),
    }
    .udf(|args| findings(args, polder_text::pii))
}
