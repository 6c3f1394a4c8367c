//! What a licence asks of those who use the work, in one word, so that a policy can be a table of a few rows.
//!
//! Of `A AND B` the more restrictive class counts, of `A OR B` the less restrictive one, since the user may choose. What is in no
//! list here is `unknown`, which ranks above all others.
//!
//! # Source
//! The licences' own terms; the groups follow the Free Software Foundation's and the Open Source Initiative's lists, Creative Commons'
//! description of its elements, and the Blue Oak Council's list of permissive licences.

use super::expression::Expression;

/// The classes, the least restrictive first.
pub const LICENSE_CLASSES: [&str; 10] = [
    "public_domain",
    "permissive",
    "weak_copyleft",
    "share_alike",
    "strong_copyleft",
    "network_copyleft",
    "source_available",
    "non_commercial",
    "no_derivatives",
    "unknown",
];

/// Classes by the beginning of the identifier; the first that fits decides, so the narrower stand before the wider.
const BY_PREFIX: &[(&str, &str)] = &[
    ("no_derivatives", "CC-BY-ND- CC-BY-NC-ND-"),
    ("non_commercial", "CC-BY-NC- Aladdin PolyForm-Noncommercial- NCGL-UK- JPL-image"),
    (
        "source_available",
        "BUSL- Elastic- SSPL- PolyForm- FSL- SUL- Hippocratic- JSON UnRAR BSD-3-Clause-No-Military BSD-3-Clause-OpenWebUI \
         CAL-1.0-Combined",
    ),
    ("network_copyleft", "AGPL- CAL- RPL- Parity- OSL- NPOSL- EUPL- LiLiQ-Rplus- copyleft-next- APL-"),
    ("share_alike", "CC-BY-SA- CC-SA- ODbL- GFDL- CDLA-Sharing- LAL- TAPR-OHL-"),
    (
        "strong_copyleft",
        "GPL- BSD-Protection CECILL-1 CECILL-2 CERN-OHL-S- D-FSL- Sleepycat QPL- SimPL- IPA NGPL ESA-PL-strong- TGPPL- OCLC-",
    ),
    (
        "weak_copyleft",
        "LGPL- LGPLLR MPL- EPL- CDDL- CPL- IPL- MS-RL CECILL-C ErlPL- NPL- APSL- CUA-OPL- Motosoto Nokia SISSL SPL- OGTSL \
         CATOSL- CPAL- LPPL- LPL- LiLiQ-R- CERN-OHL-W- CERN-OHL-1 BitTorrent- gSOAP- Interbase- RPSL- RSCPL YPL- Zimbra- \
         SugarCRM- Watcom- wxWindows ESA-PL-weak- OFL- NOSL Frameworx- VSL- OSET-PL- MPL Vim Artistic-1.0 ClArtistic Ruby MMPL-",
    ),
    (
        "public_domain",
        "CC0- CC-PDDC CC-PDM- Unlicense 0BSD PDDL- WTFPL WTFNMFPL SAX-PD NIST-PD ANTLR-PD NCBI-PD NTIA-PD blessing DL-DE-ZERO- \
         libselinux- MIT-0 NTP-0",
    ),
    (
        "permissive",
        "MIT BSD- Apache- ISC X11 HPND NTP Zlib zlib- BSL- AFL- Artistic-2 AAL BlueOak- Beerware bzip2- CC-BY- CDLA-Permissive- \
         CECILL-B CERN-OHL-P- curl CNRI- DOC ECL- EFL- Entessa EUDatagrid Fair FTL FSFAP FSFUL GLWTPL ICU IJG ImageMagick Intel \
         JasPer- Latex2e LiLiQ-P- Libpng libpng- libtiff LZMA-SDK- MirOS MS-PL MulanPSL- NAIST- NASA- Naumen NCSA Net-SNMP \
         NIST- NLOD- ODC-By- OGC- OGL- OLDAP- OLFL- OpenSSL PHP- PSF- Plexus PostgreSQL Python- python-ldap Qhull SGI-B-2 SMLNJ \
         Spencer- SSH- SunPro SWL TCL TCP-wrappers TMate TU-Berlin- UCL- Unicode- UPL- W3C Xdebug- Xerox Xnet XFree86- xinetd \
         xpp Zend- ZPL- DL-DE-BY- etalab- Boehm-GC Bitstream-Vera Clips CMU-Mach Crossword DRL- eGenix FreeBSD-DOC FBM GD HDF5 \
         Info-ZIP LOOP Minpack mpich2 NetCDF OFFIS O-UDA- psutils snprintf softSurfer StandardML-NJ Sendmail-Open-Source \
         UMich-Merit Vixie-Cron Wsuipa xlock OpenMDW- ESA-PL-permissive- AMPAS Adobe-Glyph Adobe-2006 dtoa Furuseth Multics \
         RSA-MD pkgconf checkmk TekHVC",
    ),
];

/// Exceptions that let a work of another licence be linked or made with the one under the GNU licence.
const LINKING: &[&str] = &[
    "Classpath-",
    "GCC-",
    "linking-exception",
    "Font-exception",
    "Bison-",
    "Autoconf-",
    "Libtool-",
    "LLVM-",
    "GNAT-",
    "Independent-modules",
    "eCos-",
    "WxWindows-",
    "Universal-FOSS",
];

/// Classes a licence, or an expression of several, by what it asks of those who use the work: one of [`LICENSE_CLASSES`].
///
/// # Source
/// See the module; a policy that needs more than a class reads the identifier.
pub fn license_class(spdx: &str) -> &'static str {
    let rank = Expression::parse(spdx).map_or(LICENSE_CLASSES.len() - 1, |e| rank(&e));
    LICENSE_CLASSES.get(rank).copied().unwrap_or("unknown")
}

fn rank(expression: &Expression) -> usize {
    match expression {
        Expression::All(parts) => parts.iter().map(rank).max().unwrap_or_default(),
        Expression::Any(parts) => parts.iter().map(rank).min().unwrap_or_default(),
        Expression::License { id, exception } => {
            let class = BY_PREFIX
                .iter()
                .find(|(_, ids)| ids.split(' ').any(|prefix| id.starts_with(prefix)))
                .map_or("unknown", |(class, _)| *class);
            let links = exception.as_ref().is_some_and(|e| LINKING.iter().any(|l| e.contains(l)));
            let class = if links && class == "strong_copyleft" { "weak_copyleft" } else { class };
            LICENSE_CLASSES.iter().position(|c| *c == class).unwrap_or(LICENSE_CLASSES.len() - 1)
        }
    }
}
