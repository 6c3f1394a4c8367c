//! `refinedweb_quality(text [, dialect])`: whether a page passes RefinedWeb's rules, and what they leave of it.

use datafusion_expr::ScalarUDF;
use polder_text::{REFINEDWEB_DIALECTS, RefinedwebQuality};

use crate::function::Kind;
use crate::verdicts::{Figure, Read, Rules};

fn figures() -> Vec<Figure<RefinedwebQuality>> {
    vec![
        ("keep", Read::Flag(|r| r.keep)),
        ("reason", Read::Reason(|r| r.reason)),
        ("text", Read::Text(|r| &r.text)),
        ("n_words", Read::Count(|r| r.n_words)),
        ("removed_words_share", Read::Share(|r| r.removed_words_share)),
        ("n_lines", Read::Count(|r| r.n_lines)),
        ("n_kept_lines", Read::Count(|r| r.n_kept_lines)),
    ]
}

pub(crate) fn udf() -> ScalarUDF {
    Rules {
        name: "refinedweb_quality",
        description: "RefinedWeb's rules as DCLM rebuilt them: {keep, reason, text, figures}. First Gopher's rules in the dialect dclm; then lines go that are \
                      mostly capitals (0.5), digits, counters (3 likes) or single words, and phrases such as Read more... from short lines; last, at most \
                      0.05 of the words may have gone. `text` is what is left. Not among them: URLs and languages. The empty text is not kept.",
        example: "SELECT refinedweb_quality(text)['text'] FROM raw.docs WHERE refinedweb_quality(text)['keep']",
        dialects: &REFINEDWEB_DIALECTS,
        dialect: &[("dialect", Kind::Text, "Whose reading of the rules: dclm, which is also meant if it is left out.")],
        figures,
        judge: polder_text::refinedweb_quality,
    }
    .udf()
}
