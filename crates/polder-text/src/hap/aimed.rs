//! Words that insults are aimed and made with, none of them an insult by itself: a passage of a longer text that has neither one of them nor
//! a listed term isn't worth a classifier's time.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::words::{ByWord, Word, words};

const ENGLISH: &str = "you your youre yourself u ur they theyre them these those people women woman female females men girl girls boy boys \
    white whites black blacks jew jews jewish muslim muslims islam arab arabs gay gays lesbian lesbians trans immigrant immigrants migrant migrants \
    refugee refugees foreigner foreigners race races racial asian asians chinese mexican mexicans indian indians african africans kill killed killing \
    die hate hates stupid idiot idiots dumb fool fools trash scum filth filthy ugly disgusting pathetic loser losers moron morons vermin rat rats \
    animal animals pig pigs dog dogs monkey monkeys hell damn shut liar liars traitor traitors worthless subhuman savage savages exterminate hang shoot \
    deport crazy fat retarded thug thugs ghetto hoe hoes gas";
const GERMAN: &str = "du dich dir dein deine deinen deiner euch euer eure diese dieser dieses leute menschen volk völker frau frauen weib weiber \
    mann männer jude juden moslem moslems muslim muslime islam ausländer flüchtling flüchtlinge asylant asylanten migrant migranten türke türken araber \
    schwarze schwule lesben merkel regierung politiker lügner lüge verbrecher verräter verrat idiot idioten dumm dumme dummen blöd blöde pack gesindel \
    dreck drecks abschaum ratte ratten schwein schweine affe affen hund hunde hass hasse töten tot raus schande widerlich ekelhaft erbärmlich lügenpresse \
    nazi nazis rasse fett hässlich krank kranke irre penner maul halts fresse vergasen erschießen aufhängen abschieben";

static AIMED: LazyLock<HashSet<u64, ByWord>> = LazyLock::new(|| [ENGLISH, GERMAN].into_iter().flat_map(words).map(|w| w.hash).collect());

pub(super) fn is_aimed(mut passage: impl Iterator<Item = Word>) -> bool {
    passage.any(|word| AIMED.contains(&word.hash))
}
