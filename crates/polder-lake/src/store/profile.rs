//! What the files of AWS's own tools say of a profile: keys, region, endpoint.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

/// Names in the files, and those of the environment.
const KEYS: [(&str, &str); 3] = [
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
];
const SETTINGS: [(&str, &str); 2] = [("region", "AWS_REGION"), ("endpoint_url", "AWS_ENDPOINT_URL")];
/// Other ways to credentials: where one is taken, a profile's keys are not looked at.
const OTHERS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Adds what the profile of an environment says and it doesn't: that of `AWS_PROFILE`, or `default`.
pub(super) fn complete(environment: &mut BTreeMap<String, String>, variable: impl Fn(&str) -> Option<OsString>) {
    let read = |name: &str, file: &str| {
        let named = variable(name).map(PathBuf::from);
        let path = named.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".aws").join(file)))?;
        fs::read_to_string(path).ok()
    };
    let profile = environment.get("AWS_PROFILE").filter(|name| !name.is_empty()).map_or("default", String::as_str).to_owned();
    let mut found = section(&read("AWS_CONFIG_FILE", "config").unwrap_or_default(), &format!("profile {profile}"), &profile);
    found.extend(section(&read("AWS_SHARED_CREDENTIALS_FILE", "credentials").unwrap_or_default(), &profile, &profile));
    let has_others = OTHERS.iter().any(|name| environment.contains_key(*name));
    let keys = KEYS.iter().filter(|_| !has_others);
    for (name, variable) in keys.chain(&SETTINGS) {
        let has_region = *variable == "AWS_REGION" && environment.contains_key("AWS_DEFAULT_REGION");
        if let Some(value) = found.remove(*name).filter(|_| !has_region) {
            environment.entry((*variable).to_owned()).or_insert(value);
        }
    }
}

/// What stands in the sections of either name.
fn section(text: &str, name: &str, or: &str) -> BTreeMap<String, String> {
    let (mut found, mut is_inside) = (BTreeMap::new(), false);
    for line in text.lines() {
        if let Some(title) = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(title, _)| title.trim()) {
            is_inside = title == name || title == or;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_inside && !line.starts_with(['#', ';', ' ', '\t'])) {
            found.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_gives_what_the_environment_does_not_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let aws = folder.path().join(".aws");
        fs::create_dir(&aws).expect("made");
        let config = "[default]\nregion = eu-1\n[profile lab]\nregion=eu-2\nendpoint_url = https://store.example\ns3 =\n  region = no\n";
        fs::write(aws.join("config"), config).expect("written");
        let keys = "[default]\naws_access_key_id = one\naws_secret_access_key = two\n# [lab]\n[lab]\naws_access_key_id=three\n\
                    aws_secret_access_key=fo=ur\n;aws_session_token = no\n";
        fs::write(aws.join("credentials"), keys).expect("written");
        let home = folder.path().as_os_str().to_owned();
        let of = |said: &[(&str, &str)]| {
            let mut all = said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            complete(&mut all, |name| (name == "HOME").then(|| home.clone()));
            all.into_iter().filter(|(name, _)| name != "AWS_PROFILE").map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), ["AWS_ACCESS_KEY_ID=one", "AWS_REGION=eu-1", "AWS_SECRET_ACCESS_KEY=two"]);
        let lab = ["AWS_ACCESS_KEY_ID=three", "AWS_ENDPOINT_URL=https://store.example", "AWS_REGION=eu-2", "AWS_SECRET_ACCESS_KEY=fo=ur"];
        assert_eq!(of(&[("AWS_PROFILE", "lab")]), lab);
        // Keys of the environment go with nothing of a profile's, its region does.
        let own = [("AWS_ACCESS_KEY_ID", "mine"), ("AWS_SECRET_ACCESS_KEY", "too")];
        assert_eq!(of(&own), ["AWS_ACCESS_KEY_ID=mine", "AWS_REGION=eu-1", "AWS_SECRET_ACCESS_KEY=too"]);
        let region = [("AWS_DEFAULT_REGION", "eu-9"), ("AWS_SESSION_TOKEN", "half")];
        assert_eq!(of(&region), ["AWS_DEFAULT_REGION=eu-9", "AWS_SESSION_TOKEN=half"]);
        assert_eq!(of(&[("AWS_PROFILE", "nobody")]), [] as [&str; 0]);
    }
}
