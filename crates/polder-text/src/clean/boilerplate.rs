//! Lines that web pages say and no author wrote: cookies, logging in, sharing, rights, counters. English and German.

use std::collections::HashSet;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// The longest line that is looked at: cookie notices are long, paragraphs are longer.
const BYTES_MAX: usize = 400;

/// Lines that say only this, whatever their case and the marks around them.
const WHOLE: &str = "
accept|accept all|accept all cookies|accept cookies|add comment|add to cart|add to favorites|advertisement|advertisements|back to home|back to top|
buy now|click here|click to share|close menu|comments|comments are closed|contact us|continue reading|cookie policy|cookie settings|copy link|
copyright|create account|create an account|disclaimer|email this|follow us|forgot password|forgot your password|go to top|hide comments|
join now|join us|leave a comment|leave a reply|load more|load more comments|loading|log in|log in or register|log out|login|logout|main menu|manage cookies|more|
more info|more information|most popular|most read|newsletter|next article|next page|next post|open menu|permalink|pin it|popular posts|post a comment|
post comment|previous article|previous page|previous post|print this page|privacy policy|privacy settings|read full article|read full story|read more|read next|
read the full article|read the full story|recent comments|recent posts|recommended for you|register|register now|reject all|related articles|
related posts|related stories|related topics|remember me|reply|report this ad|save preferences|scroll to top|search this site|see all|see also our|see more|share|share article|share on facebook|
share on linkedin|share on pinterest|share on twitter|share on whatsapp|share this|share this article|share this page|share this post|share this story|share via email|
show all|show comments|show less|show more|sign in|sign in or register|sign out|sign up|sign up now|site map|sitemap|skip navigation|skip to content|skip to footer|
skip to main content|skip to navigation|skip to search|sponsored|sponsored content|subscribe|subscribe now|subscribe to our newsletter|tell a friend|terms and conditions|
terms of service|terms of use|toggle navigation|trending now|tweet|tweet this|view all|view all comments|view comments|view more|write a comment|you may also like|
you might also like|your email address|abbestellen|abonnieren|agb|akzeptieren|alle akzeptieren|alle anzeigen|alle cookies akzeptieren|anmelden|anzeige|artikel drucken|artikel teilen|auf facebook teilen|
auf twitter teilen|ausloggen|beitrag teilen|barrierefreiheit|cookie einstellungen|cookie-einstellungen|cookies akzeptieren|cookie-richtlinie|das könnte sie auch interessieren|das könnte dich auch interessieren|
datenschutz|datenschutzerklärung|drucken|einloggen|einstellungen speichern|hauptmenü|hier klicken|impressum|in den warenkorb|jetzt abonnieren|jetzt anmelden|jetzt kaufen|jetzt registrieren|
kommentar hinterlassen|kommentar schreiben|kommentare|kommentare anzeigen|kommentare lesen|kontakt|konto erstellen|link kopieren|mehr anzeigen|mehr dazu|mehr erfahren|mehr laden|mehr lesen|
mehr zum thema|meistgelesen|menü|nach oben|nächste seite|newsletter abonnieren|newsletter bestellen|nur notwendige cookies|nutzungsbedingungen|passwort vergessen|per e-mail teilen|per mail teilen|registrieren|schließen|
seite drucken|sitemap|startseite|teilen|vorherige seite|warenkorb|weiterlesen|weitere artikel|weitere informationen|werbung|zum hauptinhalt springen|
zum inhalt|zum inhalt springen|zur startseite|zurück nach oben|zurück zur startseite|ähnliche artikel|ähnliche beiträge
";

/// What such a line holds, however it goes on.
const WITHIN: [&str; 58] = [
    "we use cookies",
    "this site uses cookies",
    "this website uses cookies",
    "our website uses cookies",
    "uses cookies to",
    "use of cookies",
    "accept our cookie",
    "manage your cookie",
    "cookies and similar technologies",
    "enable cookies",
    "all rights reserved",
    "all right reserved",
    "sign up for our newsletter",
    "subscribe to our newsletter",
    "sign up to our newsletter",
    "join our newsletter",
    "join our mailing list",
    "enter your email address",
    "your email address will not be published",
    "required fields are marked",
    "please enable javascript",
    "javascript is disabled",
    "javascript must be enabled",
    "enable javascript",
    "browser does not support",
    "your browser is out of date",
    "share this on",
    "share on facebook",
    "share on twitter",
    "follow us on",
    "like us on facebook",
    "log in to comment",
    "log in to post",
    "login to post",
    "sign in to comment",
    "you must be logged in",
    "powered by wordpress",
    "powered by vbulletin",
    "click to share on",
    "opens in new window",
    "already have an account?",
    "don't have an account?",
    "wir verwenden cookies",
    "wir nutzen cookies",
    "diese website verwendet cookies",
    "diese website nutzt cookies",
    "diese webseite verwendet cookies",
    "diese seite verwendet cookies",
    "verwendung von cookies",
    "alle rechte vorbehalten",
    "newsletter anmelden",
    "newsletter abonnieren",
    "bitte aktivieren sie javascript",
    "auf facebook teilen",
    "folgen sie uns auf",
    "folge uns auf",
    "e-mail-adresse wird nicht veröffentlicht",
    "erforderliche felder sind",
];

/// What follows a number in a counter.
const COUNTED: [&str; 36] = [
    "comment",
    "comments",
    "share",
    "shares",
    "like",
    "likes",
    "view",
    "views",
    "reply",
    "replies",
    "retweet",
    "retweets",
    "follower",
    "followers",
    "reads",
    "tweets",
    "votes",
    "min read",
    "minute read",
    "minutes read",
    "mins read",
    "kommentar",
    "kommentare",
    "aufrufe",
    "antworten",
    "minuten lesezeit",
    "min lesezeit",
    "min. lesezeit",
    "reaktionen",
    "stimmen",
    "abonnenten",
    "mal geteilt",
    "mal gelesen",
    "bewertungen",
    "reviews",
    "ratings",
];

static WHOLE_LINES: LazyLock<HashSet<&str>> = LazyLock::new(|| WHOLE.split(['|', '\n']).map(str::trim).filter(|l| !l.is_empty()).collect());

static PARTS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(WITHIN).ok());

/// A text as the lines that were written and those that pages add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boilerplate {
    /// The text without boilerplate lines.
    pub kept: String,
    /// The boilerplate lines, in order.
    pub removed: Vec<String>,
}

/// Parts the boilerplate lines of a text from the others.
///
/// A line is boilerplate if all of it is a phrase of such lines ("Read more", "Share this", "Zum Inhalt springen"), a counter ("12 comments",
/// "5 min read"), or the number of a page; or if, up to 400 bytes long, it speaks of cookies, newsletters, logging in or rights in the words of
/// such notices. Other lines stay as they are; blank lines around removed ones become one.
pub fn boilerplate(text: &str) -> Boilerplate {
    let mut found = Boilerplate { kept: String::with_capacity(text.len()), removed: Vec::new() };
    let mut was_removed = false;
    for line in text.split_inclusive('\n') {
        if is_boilerplate(line) {
            found.removed.push(line.trim().to_owned());
            was_removed = true;
        } else if was_removed && line.trim().is_empty() && (found.kept.is_empty() || found.kept.ends_with("\n\n")) {
            // The blank line before the removed one is enough.
        } else {
            was_removed &= line.trim().is_empty();
            found.kept.push_str(line);
        }
    }
    found
}

/// Returns a text without its boilerplate lines; see [`boilerplate`].
pub fn remove_boilerplate(text: &str) -> String {
    boilerplate(text).kept
}

fn is_boilerplate(line: &str) -> bool {
    if line.len() > BYTES_MAX {
        return false;
    }
    let line = line.trim_matches(|c: char| !c.is_alphanumeric() && c != '©');
    if line.is_empty() {
        return false;
    }
    let lower = line.to_lowercase();
    let is_notice = lower.starts_with('©') || lower.starts_with("copyright ©") || lower.starts_with("copyright (c)");
    WHOLE_LINES.contains(lower.as_str())
        || is_notice && lower.len() < 150 && lower.bytes().any(|b| b.is_ascii_digit())
        || is_counter(&lower)
        || is_page(&lower)
        || PARTS.as_ref().is_some_and(|parts| parts.is_match(&lower))
}

/// `12 comments`, `1,234 views`, `3.5k shares`, `5 min read`.
fn is_counter(line: &str) -> bool {
    let Some((number, what)) = line.split_once(' ') else { return false };
    let digits = number.trim_end_matches(['k', 'm', '+']);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'.')) && COUNTED.contains(&what.trim())
}

/// `page 1 of 3`, `seite 1 von 3`.
fn is_page(line: &str) -> bool {
    let mut words = line.split(' ');
    let is_number = |w: Option<&str>| w.is_some_and(|w| !w.is_empty() && w.len() < 6 && w.bytes().all(|b| b.is_ascii_digit()));
    matches!(words.next(), Some("page" | "seite"))
        && is_number(words.next())
        && matches!(words.next(), Some("of" | "von"))
        && is_number(words.next())
        && words.next().is_none()
}
