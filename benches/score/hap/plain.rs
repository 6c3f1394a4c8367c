//! Texts that offend nobody, for the classifiers to know what most text is like: they are in no labelled set.
//!
//! News sentences, speeches, one in eight of the books, plays and permissively licensed source files (false alarms are counted over the
//! others), and sentences that name people by what they are without saying anything about them: a classifier must not take the name for the offence.

use std::path::Path;

use polder_text::classifier::fold_of;
use polder_text::profanity;

use super::sets::documents;

/// One in so many documents of the sets for false alarms is trained on.
pub const ONE_IN: usize = 8;
/// How often a sentence that names people is trained on.
const N_TIMES_NAMED: usize = 2;
/// How many passages of one document are taken at most.
const N_PASSAGES: usize = 40;
const N_PASSAGES_OF_PLAY: usize = 200;
const N_PASSAGES_OF_BOOK: usize = 400;

/// Who people are, in ways that hate is aimed at; the German ones stand in the plural and in the singular with an article.
const ENGLISH_PEOPLE: &str = "gay people|lesbians|homosexuals|bisexual people|transgender people|queer people|black people|African Americans|\
    white people|Asian people|Arabs|Jews|Jewish people|Muslims|Christians|Hindus|Buddhists|atheists|Catholics|immigrants|refugees|foreigners|\
    Mexicans|Turks|Poles|Roma|women|men|girls|old people|poor people|disabled people|blind people|deaf people|feminists|Chinese people|\
    Indians|Africans|Russians|Germans|Americans|Israelis|Palestinians|Latinos";
const ENGLISH_SAID: &str = "{} live in our town.|Many {} work here.|{} pray in the morning.|She wrote a book about {}.|The museum tells the \
    history of {}.|{} were at the meeting on Monday.|My neighbours are {}.|We met some {} on the train.|There are {} in every country.|\
    A report about the rights of {}.|{} and their families came to the party.|The law protects {}.|I have friends who are {}.|{}|\
    {} vote in the election.|The doctor treats {}.|Two {} opened a bakery.|The number of {} has grown since 1990.|We are {}.|Are {} welcome?|{} cook dinner for \
    their friends.|{} founded the school in 1870.|The church was built by {}.|{} study at the university.|Some {} were given tickets.|Most {} \
    like football.|A song by {} won the prize.|Children of {} learn two languages.|{} celebrate with their neighbours.|The exhibition is about \
    {} in Europe.|Last year many {} moved to the coast.|{} tell stories about their lives.|In my class there are three {}.|The city council \
    invited {} to the talks.|Old photographs show {} at the market.";
const ENGLISH_ONE: &str = "gay|lesbian|bisexual|transgender|queer|black|white|Asian|Arab|Jewish|Muslim|Christian|Hindu|Buddhist|an atheist|Catholic|\
    an immigrant|a refugee|a foreigner|Mexican|Turkish|Polish|a woman|a man|a girl|old|poor|disabled|blind|deaf|a feminist|Chinese|Indian|African|\
    Russian|German|American|a Jew|a lesbian|a trans woman";
const ENGLISH_SAID_ONE: &str = "I am {}.|He is {}.|She is {} and lives in Berlin.|My teacher is {}.|I'm {} and I like music.|Our new colleague \
    is {}.|You are {}, aren't you?|I am {} and happy about it.|She is {} and a doctor.|My brother is {}.|The author is {}.|Her father was {}.";
/// Names and words that hold pieces of rude ones, and what may be said of them.
const ENGLISH_INNOCENT: &str = "Penistone|Sussex|Essex|Middlesex|Lightwater|Clitheroe|Hitchcock|Dickinson|Hancock|Babcock|\
    Cockburn|Shiitake|the cockpit|a cocktail|the peacock|the assassin|the classic bass|the analysis|the cumulus|Matsushita|Arsenal|Wankel|Titicaca|\
    Dickson|Benedick|Riddick|Cunningham|Cuntz|Woodcock|Hitchin|Shitterton|Fuchs|the fuchsia|Nigeria|Nigel|the Niger|Whitcombe|Cockermouth|Lipschitz";
const ENGLISH_SAID_INNOCENT: &str = "We went to see {} on Sunday.|A letter from a friend of {}.|The gallery has a picture of {}.|{} is in the \
    book.|The history of {} is taught at school.|They wrote about {} and its museum.|The mayor of {} opened a school.|\
    A painter from {} had many friends.|{}'s house stands by the river.|The train to {} was late.";
const GERMAN_PEOPLE: &str = "Schwule|Lesben|Homosexuelle|Transsexuelle|Schwarze|Weiße|Asiaten|Araber|Juden|Muslime|Moslems|Christen|Hindus|\
    Atheisten|Katholiken|Einwanderer|Flüchtlinge|Geflüchtete|Ausländer|Türken|Kurden|Polen|Roma|Sinti|Frauen|Männer|Mädchen|Rentner|Arme|\
    Behinderte|Blinde|Gehörlose|Feministinnen|Chinesen|Inder|Afrikaner|Russen|Deutsche|Amerikaner|Israelis|Palästinenser|Syrer|Migranten";
const GERMAN_SAID: &str = "{} leben in unserer Stadt.|Viele {} arbeiten hier.|{} beten am Morgen.|Sie schrieb ein Buch über {}.|Das Museum zeigt \
    die Geschichte der {}.|{} waren am Montag bei der Versammlung.|Meine Nachbarn sind {}.|Im Zug trafen wir einige {}.|{} gibt es in jedem Land.|\
    Ein Bericht über die Rechte der {}.|{} und ihre Familien kamen zum Fest.|Das Gesetz schützt {}.|Ich habe Freunde, die {} sind.|{}|\
    {} gehen zur Wahl.|Der Arzt behandelt {}.|Zwei {} haben eine Bäckerei eröffnet.|Wir sind {}.|Sind {} willkommen?|Die {} kochen für ihre Freunde.|\
    {} gründeten die Schule im Jahr 1870.|Die {} gehen in den Sprachkurs.|Einige {} bekamen Karten.|Die meisten {} mögen Fußball.|Ein Lied über {} \
    gewann den Preis.|Die Kinder der {} sprechen zwei Sprachen.|Die {} sitzen mit ihren Nachbarn im Garten.|Die Ausstellung handelt von {} in \
    Europa.|Im letzten Jahr zogen viele {} an die Küste.|{} berichten von früher.|In meiner Klasse sind drei {}.|Die Stadt lud die {} zu \
    Gesprächen ein.|Alte Bilder zeigen {} auf dem Markt.|Die {} lernen in der Schule.|Die {} fahren im Sommer ans Meer.";
const GERMAN_ONE: &str = "schwul|lesbisch|homosexuell|transsexuell|schwarz|weiß|Asiate|Araber|Jude|Jüdin|Muslim|Muslima|Moslem|Christ|Hindu|\
    Atheist|katholisch|Einwanderer|Flüchtling|Ausländer|Ausländerin|Türke|Türkin|Kurde|Pole|Roma|eine Frau|ein Mann|Rentner|arm|behindert|blind|\
    gehörlos|Feministin|Chinese|Inder|Afrikaner|Russe|Deutscher|Amerikaner|Syrer|Migrant";
const GERMAN_SAID_ONE: &str = "Ich bin {}.|Er ist {}.|Sie ist {} und wohnt in Berlin.|Mein Lehrer ist {}.|Ich bin {} und mag Musik.|Der neue \
    Kollege ist {}.|Du bist doch {}, oder?|Er ist {} und spielt Klavier.|Meine Schwester ist {} und Ärztin.|Mein Bruder ist {}.|Die Autorin ist {}.|Ihr Vater war {}.";

pub fn english(data: &Path) -> Vec<String> {
    let mut texts = lines(data, "eval_langid_lingua/en/sentences.txt");
    for folder in ["inaugural", "state_union"] {
        texts.extend(documents(data, &format!("text_nltk/{folder}")).iter().flat_map(|(_, text)| passages(text, N_PASSAGES)));
    }
    texts.extend(held_in(data, "text_books_en").iter().flat_map(|(_, text)| passages(text, N_PASSAGES_OF_BOOK)));
    texts.extend(
        held_in(data, "code_repos").iter().filter(|(name, _)| !name.contains("GPL")).flat_map(|(_, text)| passages(text, N_PASSAGES)),
    );
    texts.extend(named(ENGLISH_PEOPLE, ENGLISH_SAID));
    texts.extend(named(ENGLISH_ONE, ENGLISH_SAID_ONE));
    texts.extend(named(ENGLISH_INNOCENT, ENGLISH_SAID_INNOCENT));
    texts.retain(|text| profanity(text, "en").is_empty());
    texts
}

pub fn german(data: &Path) -> Vec<String> {
    let mut texts = lines(data, "eval_langid_lingua/de/sentences.txt");
    texts.extend(held_in(data, "text_german_drama").iter().flat_map(|(_, text)| passages(text, N_PASSAGES_OF_PLAY)));
    texts.extend(named(GERMAN_PEOPLE, GERMAN_SAID));
    texts.extend(named(GERMAN_ONE, GERMAN_SAID_ONE));
    texts.retain(|text| profanity(text, "de").is_empty());
    texts
}

/// The documents of a set that are trained on.
fn held_in(data: &Path, set: &str) -> Vec<(String, String)> {
    documents(data, set).into_iter().filter(|(_, text)| fold_of(text, ONE_IN) == 0).collect()
}

fn lines(data: &Path, file: &str) -> Vec<String> {
    std::fs::read_to_string(data.join(file)).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Passages of about the length of a post, evenly spread over a text.
fn passages(text: &str, n_max: usize) -> Vec<String> {
    let (mut all, mut passage) = (Vec::new(), String::new());
    for line in text.lines() {
        for part in line.split_inclusive(['.', '!', '?']) {
            passage.push_str(part);
            if passage.len() >= 120 {
                all.push(std::mem::take(&mut passage));
            }
        }
        passage.push('\n');
    }
    let step = all.len().div_ceil(n_max).max(1);
    all.into_iter().step_by(step).filter(|p| p.len() < 600).collect()
}

fn named(people: &str, said: &str) -> Vec<String> {
    let sentence = |said: &str, who: &str| said.trim().replace("{}", who.trim());
    // They have to outweigh the posts in which the same names come with insults.
    let all = said.split('|').flat_map(|said| people.split('|').map(move |who| sentence(said, who)));
    all.flat_map(|sentence| std::iter::repeat_n(sentence, N_TIMES_NAMED)).collect()
}
