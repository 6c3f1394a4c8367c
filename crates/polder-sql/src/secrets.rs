//! `secrets(text)`: where a text holds credentials.

use datafusion_expr::ScalarUDF;

use crate::findings::{findings, findings_type};
use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "secrets",
        description: "Credentials in a text as a list of {kind, start, end, score}, in characters from 0, `end` exclusive: private key blocks, tokens \
                      with a known form (aws_access_key_id, github_token, jwt …), passwords in addresses, and values that a name calls secret. \
                      Placeholders, examples of documentation, hashes and UUIDs are none.",
        example: "SELECT doc_id FROM raw.docs WHERE cardinality(secrets(text)) > 0",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: findings_type(),
    }
    .udf(|args| findings(args, polder_text::secrets))
}
