//! Ansible told from other YAML: by what the items of the outermost list hold, not by where the file lies.
//!
//! Ansible is: plays (`hosts`, `import_playbook`), tasks and handlers (a module of Ansible's, called with the keywords that go with one),
//! lists of roles to install, the description of a role, inventories, and variables of a role or a group that are templates. A plain mapping
//! of values stays YAML wherever it lies: nothing in it is Ansible's.

/// Keys that only a play has besides `hosts`.
const PLAY: &[&str] = &[
    "hosts",
    "tasks",
    "roles",
    "pre_tasks",
    "post_tasks",
    "handlers",
    "gather_facts",
    "become",
    "become_user",
    "remote_user",
    "vars_files",
    "vars_prompt",
    "serial",
    "strategy",
    "connection",
    "any_errors_fatal",
    "max_fail_percentage",
    "vars",
    "collections",
    "environment",
];
/// Keywords that go with a task and that other lists of steps don't use.
const TASK: &[&str] = &[
    "become",
    "become_user",
    "register",
    "notify",
    "changed_when",
    "failed_when",
    "ignore_errors",
    "delegate_to",
    "run_once",
    "with_items",
    "with_dict",
    "with_fileglob",
    "with_together",
    "with_subelements",
    "with_nested",
    "with_sequence",
    "with_first_found",
    "loop_control",
    "no_log",
    "local_action",
    "block",
    "rescue",
    "always",
    "listen",
    "until",
    "check_mode",
    "import_tasks",
    "include_tasks",
    "import_role",
    "include_role",
    "include_vars",
    "set_fact",
    "async",
    "poll",
    "args",
    "sudo",
    "meta",
];
/// Modules that need no collection before their name. Words that lists of steps elsewhere use (`run`, `script`, `git`) are left out.
const MODULES: &[&str] = &[
    "add_host",
    "apache2_module",
    "apt",
    "apt_key",
    "apt_repository",
    "assemble",
    "assert",
    "async_status",
    "blockinfile",
    "bower",
    "command",
    "composer",
    "copy",
    "cron",
    "debconf",
    "debug",
    "dnf",
    "docker_container",
    "docker_image",
    "ec2",
    "expect",
    "fail",
    "fetch",
    "file",
    "filesystem",
    "find",
    "firewalld",
    "gem",
    "get_url",
    "getent",
    "git",
    "group",
    "group_by",
    "hostname",
    "htpasswd",
    "include",
    "ini_file",
    "iptables",
    "k8s",
    "known_hosts",
    "lineinfile",
    "locale_gen",
    "lvol",
    "make",
    "modprobe",
    "mount",
    "mysql_db",
    "mysql_user",
    "npm",
    "openssl_privatekey",
    "package",
    "package_facts",
    "pacman",
    "pause",
    "pip",
    "postgresql_db",
    "postgresql_user",
    "raw",
    "reboot",
    "replace",
    "rpm_key",
    "script",
    "seboolean",
    "selinux",
    "service",
    "service_facts",
    "setup",
    "shell",
    "slurp",
    "stat",
    "synchronize",
    "sysctl",
    "systemd",
    "tempfile",
    "template",
    "timezone",
    "ufw",
    "unarchive",
    "uri",
    "user",
    "wait_for",
    "wait_for_connection",
    "win_command",
    "win_copy",
    "win_feature",
    "win_file",
    "win_service",
    "win_shell",
    "yum",
    "yum_repository",
    "zypper",
];
/// Names of modules and keywords that are keys of other lists too: they count only beside nothing but keys of tasks, in a text with
/// templates or in a folder for tasks.
const COMMON_WORDS: &[&str] = &[
    "always",
    "args",
    "assert",
    "async",
    "block",
    "command",
    "copy",
    "cron",
    "debug",
    "ec2",
    "environment",
    "expect",
    "fail",
    "fetch",
    "file",
    "find",
    "gem",
    "git",
    "group",
    "hostname",
    "include",
    "iptables",
    "k8s",
    "listen",
    "make",
    "meta",
    "mount",
    "npm",
    "package",
    "pause",
    "pip",
    "poll",
    "raw",
    "reboot",
    "register",
    "replace",
    "script",
    "service",
    "setup",
    "shell",
    "stat",
    "template",
    "timezone",
    "until",
    "uri",
    "user",
    "vars",
];
/// Lines that are looked at.
const LINES_MAX: usize = 2000;

/// Whether YAML is Ansible's.
pub(super) fn is_ansible(path: &str, text: &str) -> bool {
    let outline = Outline::read(text);
    if outline.items.is_empty() {
        return is_ansible_mapping(path, text, &outline.keys);
    }
    let has = |item: &[&str], key: &str| item.contains(&key);
    let is_play = |item: &Vec<&str>| {
        has(item, "import_playbook")
            || has(item, "ansible.builtin.import_playbook")
            || (has(item, "hosts")
                && item.iter().all(|k| !k.contains('/'))
                && (item.len() < 2 || item.iter().any(|k| *k != "hosts" && PLAY.contains(k))))
    };
    let among_tasks = text.contains("{{") || ["/tasks/", "/handlers/", "/playbooks/"].iter().any(|f| format!("/{path}").contains(f));
    let is_task = |item: &Vec<&str>| {
        let in_collection = item.iter().any(|k| is_in_collection(k));
        let sure = item.iter().any(|k| (MODULES.contains(k) || TASK.contains(k)) && !COMMON_WORDS.contains(k));
        let likely = item.iter().any(|k| MODULES.contains(k));
        in_collection || sure || (likely && among_tasks && item.iter().all(|k| is_plain_task_key(k)))
    };
    let n_plays = outline.items.iter().filter(|i| is_play(i)).count();
    let n_tasks = outline.items.iter().filter(|i| is_task(i)).count();
    let n_roles = outline.items.iter().filter(|i| is_role(i, text)).count();
    let n = outline.items.len();
    n_plays > 0 || 2 * n_tasks >= n || 2 * n_roles > n
}

/// A mapping: roles and collections to install, a role's description, an inventory, or variables with templates.
fn is_ansible_mapping(path: &str, text: &str, keys: &[&str]) -> bool {
    let has = |key: &str| keys.contains(&key);
    let only = |allowed: &[&str]| !keys.is_empty() && keys.iter().all(|k| allowed.contains(k));
    let line_starts = |start: &str| text.lines().any(|l| l.trim_start().starts_with(start));
    let to_install = ["- src:", "- name:", "- role:", "src:"].iter().any(|s| line_starts(s));
    if has("galaxy_info") || (only(&["roles", "collections"]) && to_install) {
        return true;
    }
    let is_inventory = (has("all") || has("ungrouped")) && (line_starts("hosts:") || line_starts("children:"));
    let is_dynamic_inventory = has("plugin") && ["keyed_groups", "compose", "hostnames", "filters", "groups"].iter().any(|k| has(k));
    let path = format!("/{}", path.to_lowercase());
    let in_role = path.contains("/roles/") && ["/vars/", "/defaults/", "/meta/"].iter().any(|f| path.contains(f));
    let of_hosts = in_role || path.contains("/group_vars/") || path.contains("/host_vars/");
    let is_meta = path.ends_with("/meta/main.yml") && has("dependencies") && line_starts("- role:");
    is_inventory
        || is_dynamic_inventory
        || is_meta
        || (of_hosts && (text.contains("{{") || text.starts_with("$ANSIBLE_VAULT") || text.contains("!vault")))
}

/// A role to install: `- src: git+https://…` or `- name: owner.role` with a version.
fn is_role(item: &[&str], text: &str) -> bool {
    let only = |allowed: &[&str]| item.iter().all(|k| allowed.contains(k));
    (item.contains(&"src") && only(&["src", "name", "version", "scm", "path"]))
        || (item.contains(&"role") && only(&["role", "vars", "when", "tags"]) && !text.contains("kind:"))
}

/// `community.general.ufw`: two points, and nothing but letters, digits and `_` between.
fn is_in_collection(key: &str) -> bool {
    let mut n = 0;
    let named = key.split('.').all(|part| {
        n += 1;
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    named && n >= 3
}

fn is_plain_task_key(key: &str) -> bool {
    ["name", "when", "tags", "vars", "loop", "environment", "retries", "delay", "args"].contains(&key)
        || TASK.contains(&key)
        || MODULES.contains(&key)
}

/// The keys at the top: of the document's mapping, or of each item of its list.
#[derive(Default)]
struct Outline<'a> {
    keys: Vec<&'a str>,
    items: Vec<Vec<&'a str>>,
}

impl<'a> Outline<'a> {
    fn read(text: &'a str) -> Self {
        let mut outline = Self::default();
        // Where the keys of the present item stand, and where its dash does.
        let (mut column, mut dash) = (None, None);
        for line in text.lines().take(LINES_MAX) {
            let content = line.trim_start();
            if content.is_empty() || content.starts_with('#') || line.starts_with("---") || line.starts_with("...") || line.starts_with('%')
            {
                continue;
            }
            let indent = line.len() - content.len();
            if let Some(rest) = content.strip_prefix('-').filter(|r| r.is_empty() || r.starts_with(' '))
                && outline.keys.is_empty()
                && dash.is_none_or(|d| d == indent)
            {
                dash = Some(indent);
                let inside = rest.trim_start();
                column = (!inside.is_empty()).then_some(indent + 1 + rest.len() - inside.len());
                outline.items.push(key(inside).into_iter().collect());
            } else if dash.is_some_and(|d| indent > d) {
                if column.is_none() || column == Some(indent) {
                    column = Some(indent);
                    if let (Some(item), Some(key)) = (outline.items.last_mut(), key(content)) {
                        item.push(key);
                    }
                }
            } else if indent == 0 && !content.starts_with('-') {
                outline.keys.extend(key(content));
            }
        }
        if !outline.keys.is_empty() {
            outline.items.clear();
        }
        outline
    }
}

/// The key of `key: value`, without quotes.
fn key(content: &str) -> Option<&str> {
    let (key, rest) = content.split_once(':')?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| key.trim().trim_matches(['"', '\'']))
}
