//! The words that say what a number is, in the languages whose forms are known, and what they speak of.

/// A set of topics that words can speak of, as bits.
pub(super) type Topics = u64;

pub(super) const PHONE: Topics = 1;
/// Words of talking, which mean a telephone only on the same line, before a grouped number; with `at` or `on` behind them they are sure.
pub(super) const CALL: Topics = 1 << 1;
/// Places that label a telephone number: `Office: …`, `… office`.
pub(super) const LABEL: Topics = 1 << 15;
/// Words that speak of a telephone number only if it is the next thing.
pub(super) const NEXT: Topics = 1 << 16;
pub(super) const CARD: Topics = 1 << 2;
pub(super) const MACHINE: Topics = 1 << 3;
pub(super) const VERSION: Topics = 1 << 4;
pub(super) const SSN: Topics = 1 << 5;
pub(super) const PASSPORT: Topics = 1 << 6;
pub(super) const LICENCE: Topics = 1 << 7;
pub(super) const BIRTH: Topics = 1 << 8;
/// `born` and its kin, which novels say of people of other centuries.
pub(super) const BORN: Topics = 1 << 9;
pub(super) const PLACE: Topics = 1 << 10;
pub(super) const WALLET: Topics = 1 << 11;
/// Words of any identity number; which one, the checksum says.
pub(super) const IDENTITY: Topics = 1 << 12;
pub(super) const TAX: Topics = 1 << 13;
/// Numbers of books, orders and the like: no person's.
pub(super) const THING: Topics = 1 << 14;
/// The first bit of the countries' own words for their numbers; see `national`.
pub(super) const COUNTRY_SHIFT: u32 = 20;

const fn country(n: u32) -> Topics {
    1 << (COUNTRY_SHIFT + n)
}

pub(super) const AU: Topics = country(0);
pub(super) const AT_CH: Topics = country(1);
pub(super) const BALTIC_BALKAN: Topics = country(2);
pub(super) const BE: Topics = country(3);
pub(super) const BR: Topics = country(4);
pub(super) const CA: Topics = country(5);
pub(super) const CN: Topics = country(6);
pub(super) const CZ: Topics = country(7);
pub(super) const DE_ID: Topics = country(8);
pub(super) const DE_SV: Topics = country(9);
pub(super) const DE_TAX: Topics = country(10);
pub(super) const DK_NO_SE_FI: Topics = country(11);
pub(super) const ES_PT: Topics = country(12);
pub(super) const FR: Topics = country(13);
pub(super) const IE: Topics = country(14);
pub(super) const IN_AADHAAR: Topics = country(15);
pub(super) const IN_PAN: Topics = country(16);
pub(super) const IT: Topics = country(17);
pub(super) const KR: Topics = country(18);
pub(super) const LATIN_AMERICA: Topics = country(19);
pub(super) const NL: Topics = country(20);
pub(super) const PL: Topics = country(21);
pub(super) const RU: Topics = country(22);
pub(super) const SG: Topics = country(23);
pub(super) const TR: Topics = country(24);
pub(super) const UK_NHS: Topics = country(25);
pub(super) const UK_NINO: Topics = country(26);
pub(super) const ZA: Topics = country(27);

/// Words between bars, in small letters; capitals of ASCII match too, others stand beside their small letters.
pub(super) const WORDS: &[(Topics, &str)] = &[
    (
        PHONE,
        "phone|phones|telephone|telephones|tel|mobile|mobil|cellphone|cell|cellular|fax|sms|whatsapp|hotline|helpline|landline|\
         voicemail|pager|tollfree|toll-free|telefon|telefonnummer|telefonnr|telefax|handy|handynummer|mobilnummer|mobiltelefon|\
         mobilfunk|rufnummer|durchwahl|fernruf|festnetz|tél|téléphone|portable|teléfono|telefono|móvil|movil|cellulare|celular|\
         telefoon|telefoonnummer|mobiel|tlf|puhelin|matkapuhelin|telemóvel|telefone|telefonu|komórka|телефон|Телефон|тел|Тел|\
         моб|电话|電話|手机|手機|携帯|전화|फोन|τηλ|هاتف|טלפון",
    ),
    (
        CALL,
        "call|calls|called|calling|dial|reach|contact|contacted|messages|answering|texting|anruf|anrufen|erreichbar|erreichen|\
         kontakt|appeler|appelez|joindre|llamar|llame|chiamare|bellen|ringa|zadzwoń",
    ),
    (
        LABEL,
        "desk|office|home|work|voice|reception|büro|buero|privat|dienstlich|zentrale|bureau|domicile|oficina|casa|ufficio|\
         kantoor|contact|night|day|evening",
    ),
    (
        NEXT,
        "registered|direct|call|dial|please ring|anrufen|bel|appelez|llame al|chiama|my number|his number|her number|\
         their number|your number|meine nummer|mi número|mon numéro",
    ),
    (
        CARD,
        "card|cards|cardnumber|creditcard|credit|debit|visa|mastercard|amex|american express|maestro|discover|diners|jcb|\
         unionpay|pan|cc|ccn|ccnum|cvv|cvc|kreditkarte|kreditkartennummer|kartennummer|karte|carte bancaire|carte|carte bleue|\
         tarjeta|carta di credito|carta|cartão|cartao|creditcardnummer|karta|karty|карта|карты|信用卡|卡号|カード",
    ),
    (
        MACHINE,
        "ip|ips|ipv4|ipv6|ip-adresse|address|adresse|addr|host|hostname|server|client|remote|peer|dns|nameserver|gateway|\
         resolver|mac|hwaddr|bssid|ethernet|wlan|bluetooth",
    ),
    (
        VERSION,
        "version|versions|ver|v|release|rev|revision|build|firmware|section|chapter|oid|rfc|clause|driver|assemblyversion|\
         fileversion|chrome|safari|opr|edg|yabrowser",
    ),
    (SSN, "ssn|ssns|social security|soc sec|socialsecurity|social-security|itin|taxpayer|taxpayer id|ss"),
    (
        PASSPORT,
        "passport|passports|reisepass|reisepassnummer|passnummer|passeport|pasaporte|passaporto|passaporte|paspoort|\
         paspoortnummer|paszport|paszportu|паспорт|паспорта|护照|パスポート|여권",
    ),
    (
        LICENCE,
        "driver's license|driver’s license|drivers license|driver license|driver's licence|driver’s licence|driving licence|\
         driving license|drivers licence|driver's license number|dl number|dln|führerschein|führerscheinnummer|\
         permis de conduire|licencia de conducir|patente di guida|rijbewijs",
    ),
    (
        BIRTH,
        "dob|d.o.b|birth date|birthdate|birthday|date of birth|birth|geburtsdatum|geburtstag|geb|date de naissance|\
         fecha de nacimiento|data di nascita|data de nascimento|geboortedatum|data urodzenia|födelsedatum|fødselsdato|\
         syntymäaika|дата рождения|Дата рождения|出生日期|生年月日",
    ),
    (BORN, "born|geboren|né le|née le|nacido|nacida|nato|nata|nascido|nascida|född|født|urodzony|urodzona|родился|родилась"),
    (
        PLACE,
        "lat|latitude|lon|lng|long|longitude|latlng|latlon|gps|coordinates|coordinate|coords|coord|geo|location|koordinaten|\
         standort|breitengrad|längengrad|coordonnées|coordenadas|координаты",
    ),
    (WALLET, "eth|ether|ethereum|wallet|donate|donation|donations|erc20|erc-20|metamask|crypto"),
    (
        IDENTITY,
        "national id|identity number|identity card|id card|id number|id no|personal number|personal id|identification number|\
         identification no|citizen|personalnummer|ausweisnummer|ausweis|id-nummer",
    ),
    (TAX, "tin|tax id|tax number|tax identification|taxid|vat|nif"),
    (
        THING,
        "isbn|issn|ean|upc|gtin|doi|order|invoice|ticket|issue|bug|serial|sku|tracking|transaction|timestamp|commit|patent|\
         asin|imei|part|model|rechnung|bestellung|auftrag|offset|bytes|checksum|hash|seed|pmid|arxiv",
    ),
    (AU, "tfn|tax file|medicare|tax file number"),
    (AT_CH, "ahv|avs|ahv-nummer|ahv-nr|svnr|sozialversicherungsnummer|versicherungsnummer|sv-nr|sv-nummer"),
    (BALTIC_BALKAN, "isikukood|asmens kodas|personas kods|oib|cnp|egn|егн|jmbg|emšo|emso|rodné číslo"),
    (BE, "rijksregisternummer|rijksregister|numéro national|registre national|insz|niss|national number|nn"),
    (BR, "cpf|cadastro de pessoas"),
    (CA, "sin|social insurance|nas|numéro d'assurance sociale"),
    (CN, "身份证|身份證|居民身份证|resident id|id card|identity card|shenfenzheng"),
    (CZ, "rodné číslo|rodne cislo|r.č|rc|birth number"),
    (DE_ID, "personalausweis|personalausweisnummer|ausweisnummer|ausweis|ausweis-nr|perso|id card|identity card"),
    (
        DE_SV,
        "sozialversicherungsnummer|rentenversicherungsnummer|sv-nummer|svnr|rvnr|versicherungsnummer|sozialversicherung|\
         social security",
    ),
    (
        DE_TAX,
        "steuer-id|steuerid|steueridentifikationsnummer|steuer-identifikationsnummer|identifikationsnummer|idnr|steuer-idnr|\
         tin|tax id|steuerliche",
    ),
    (
        DK_NO_SE_FI,
        "cpr|cpr-nummer|cpr-nr|personnummer|fødselsnummer|fodselsnummer|personnr|henkilötunnus|hetu|samordningsnummer|\
         personal identity",
    ),
    (ES_PT, "dni|nif|nie|documento|documento nacional|contribuinte|identidad|identificación"),
    (FR, "nir|insee|sécurité sociale|securite sociale|numéro de sécurité sociale|carte vitale|n° ss|numéro ss"),
    (IE, "pps|ppsn|pps number|pps no"),
    (IN_AADHAAR, "aadhaar|aadhar|uidai|uid|adhaar|आधार"),
    (IN_PAN, "pan|permanent account|pan card|income tax"),
    (IT, "codice fiscale|cf|c.f|fiscale"),
    (KR, "rrn|resident registration|주민등록번호|주민번호"),
    (LATIN_AMERICA, "rut|run|cuit|cuil|curp|rol único|cédula|cedula"),
    (NL, "bsn|burgerservicenummer|sofinummer|sofi|burgerservice"),
    (PL, "pesel|numer pesel"),
    (RU, "снилс|СНИЛС|инн|ИНН|snils|inn"),
    (SG, "nric|fin|nric/fin|singpass"),
    (TR, "tckn|tc kimlik|t.c. kimlik|kimlik|kimlik no"),
    (UK_NHS, "nhs|nhs number|nhs no"),
    (UK_NINO, "nino|national insurance|ni number|ni no|nin"),
    (ZA, "south african|rsa id|id number|identity number|id no|sa id"),
];
