//! Files on the web: fetched as streams, from public addresses only, and without keeping anybody's password.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

use crate::pieces::{Pieces, with_causes};
use crate::record::Fault;
use crate::settings::Settings;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// So long may a server be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const REDIRECTS_MAX: usize = 5;

/// A file on its way.
pub(crate) struct Fetched {
    pub(crate) stream: Box<dyn Read>,
    /// What the server says that it is, such as `text/html`.
    pub(crate) media_type: Option<String>,
}

/// Begins to fetch an address; or says why that is not possible.
pub(crate) fn open(url: &Url, settings: &Settings) -> Result<Fetched, Fault> {
    let fault = |reason, detail: String| Fault::new(reason, detail);
    if !settings.allow_private && is_private_host(url) {
        return Err(private());
    }
    let allow_private = settings.allow_private;
    let policy = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("too many redirects")
        } else if !matches!(attempt.url().scheme(), "http" | "https") || (!allow_private && is_private_host(attempt.url())) {
            attempt.error(Private)
        } else {
            attempt.follow()
        }
    });
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("polder/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(policy);
    if !allow_private {
        client = client.dns_resolver(std::sync::Arc::new(Public));
    }
    let handle = settings.handle.clone();
    let answer = handle.block_on(async { client.build()?.get(url.clone()).send().await });
    let mut answer =
        answer.map_err(|e| if is_caused_by_private(&e) { private() } else { fault("unreachable", with_causes(&e.without_url())) })?;
    if !answer.status().is_success() {
        return Err(fault("unreachable", format!("the server answers {}", answer.status())));
    }
    let media_type = answer.headers().get("content-type").and_then(|v| v.to_str().ok());
    let media_type = media_type.map(|v| v.split(';').next().unwrap_or(v).trim().to_ascii_lowercase());
    let next = move || handle.block_on(answer.chunk()).map_err(|e| io::Error::other(with_causes(&e.without_url())));
    Ok(Fetched { stream: Box::new(Pieces::new(next)), media_type })
}

fn private() -> Fault {
    Fault::new("private_address", "it is an address of this machine or of a private network; --allow-private reads it")
}

/// Resolves names, and leaves out what is not public: a name that points into a private network is none.
struct Public;

#[derive(Debug)]
struct Private;

impl std::fmt::Display for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a private address")
    }
}

impl std::error::Error for Private {}

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let n_found = found.len();
            let public: Vec<SocketAddr> = found.into_iter().filter(|a| is_public(a.ip())).collect();
            if public.is_empty() && n_found > 0 {
                return Err(Box::new(Private) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

fn is_caused_by_private(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(e) = error {
        if e.is::<Private>() {
            return true;
        }
        error = e.source();
    }
    false
}

/// Whether an address names a machine by a number that is not public. Names are judged when they are resolved.
fn is_private_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => !is_public(ip.into()),
        Some(Host::Ipv6(ip)) => !is_public(ip.into()),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost"),
        None => true,
    }
}

/// Whether an address is one of the public internet.
///
/// # Source
/// The special-purpose address registries of the IANA (RFC 6890 and what updates it).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(ip) => {
            if let Some(inner) = ip.to_ipv4_mapped() {
                return is_public(inner.into());
            }
            let s = ip.segments();
            // Addresses that carry one of IPv4 are as public as that.
            if s[0] == 0x2002 {
                return is_public(IpAddr::from([(s[1] >> 8) as u8, s[1] as u8, (s[2] >> 8) as u8, s[2] as u8]));
            }
            if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
                return is_public(IpAddr::from([(s[6] >> 8) as u8, s[6] as u8, (s[7] >> 8) as u8, s[7] as u8]));
            }
            // Of IPv6, 2000::/3 is given out; documentation and protocol assignments are not.
            s[0] & 0xe000 == 0x2000 && !(s[0] == 0x2001 && (s[1] == 0xdb8 || s[1] < 0x200)) && !(s[0] == 0x3fff && s[1] < 0x1000)
        }
    }
}

const DATABASES: [&str; 4] = ["postgres", "postgresql", "mysql", "mariadb"];

/// Names of parameters that carry a right to read.
const SECRET_PARAMETERS: [&str; 12] = [
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "awsaccesskeyid",
    "key",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
];

/// Cuts user name, password and what looks like a key or a signature out of an address.
///
/// ```
/// assert_eq!(polder_ingest::without_secrets("https://me:secret@host/x?page=2&sig=abc"), "https://host/x?page=2");
/// ```
pub fn without_secrets(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    // A password of a database may hold any letter, also where it should not.
    let rest = if DATABASES.contains(&scheme) { rest.rsplit('@').next().unwrap_or(rest) } else { rest };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or(host);
    let (path, fragment) = path.split_once('#').map_or((path, None), |(p, f)| (p, Some(f)));
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    let mut clean = format!("{scheme}://{host}{path}");
    if let Some(query) = query {
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_secret(pair.split('=').next().unwrap_or(pair))).collect();
        if !kept.is_empty() {
            clean.push('?');
            clean.push_str(&kept.join("&"));
        }
    }
    if let Some(fragment) = fragment {
        clean.push('#');
        clean.push_str(fragment);
    }
    clean
}

fn is_secret(parameter: &str) -> bool {
    let parameter = parameter.to_ascii_lowercase();
    SECRET_PARAMETERS.contains(&parameter.as_str()) || parameter.starts_with("x-amz-") || parameter.starts_with("x-goog-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_told_from_public_ones() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "198.18.0.1",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
            "64:ff9b::a00:1",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        let host = |url: &str| is_private_host(&Url::parse(url).expect("an address"));
        assert!(host("http://localhost:80/") && host("http://[::1]/") && host("http://2130706433/") && host("http://0x7f.1/"));
        assert!(!host("https://example.org/"));
    }

    #[test]
    fn what_gives_a_right_to_read_is_cut_out_of_addresses() {
        let clean = without_secrets;
        assert_eq!(clean("https://me:secret@host/x@y"), "https://host/x@y");
        assert_eq!(clean("https://b.s3.amazonaws.com/k?X-Amz-Signature=1&X-Amz-Date=2"), "https://b.s3.amazonaws.com/k");
        assert_eq!(clean("https://host?token=1&page=2#top"), "https://host?page=2#top");
        assert_eq!(clean("/a/b?token=1"), "/a/b?token=1");
        assert_eq!(clean("postgres://me:p/w?#@x@host:5433/d?table=t"), "postgres://host:5433/d?table=t");
    }
}
