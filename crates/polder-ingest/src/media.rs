//! What kind of text a file is, by its name's ending.

/// Returns the media type; `text/plain` where the ending says nothing.
pub(crate) fn media_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
    match ending.as_str() {
        "md" | "markdown" => "text/markdown",
        "rst" => "text/x-rst",
        "html" | "htm" | "xhtml" => "text/html",
        "css" | "scss" => "text/css",
        "csv" => "text/csv",
        "tsv" => "text/tab-separated-values",
        "tex" => "text/x-tex",
        "rs" => "text/x-rust",
        "c" | "h" => "text/x-c",
        "cc" | "cpp" | "cxx" | "hpp" | "hh" => "text/x-c++",
        "cu" | "cuh" => "text/x-cuda",
        "cs" => "text/x-csharp",
        "go" => "text/x-go",
        "java" => "text/x-java",
        "kt" | "kts" => "text/x-kotlin",
        "scala" => "text/x-scala",
        "swift" => "text/x-swift",
        "py" | "pyi" => "text/x-python",
        "rb" => "text/x-ruby",
        "pl" | "pm" => "text/x-perl",
        "php" => "text/x-php",
        "lua" => "text/x-lua",
        "sh" | "bash" | "zsh" => "text/x-shellscript",
        "ps1" => "text/x-powershell",
        "s" | "asm" => "text/x-asm",
        "sql" => "text/x-sql",
        "js" | "mjs" | "cjs" | "jsx" => "text/javascript",
        "ts" | "tsx" => "text/x-typescript",
        "json" | "jsonl" | "ndjson" => "application/json",
        "toml" => "application/toml",
        "yaml" | "yml" => "application/yaml",
        "xml" | "xsd" | "svg" => "application/xml",
        "ipynb" => "application/x-ipynb+json",
        _ => "text/plain",
    }
}
