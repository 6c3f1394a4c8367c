-- table: clean.docs_stage
-- mode: full
-- why: Every document gets its categories, figures and signals once; later steps decide on columns, not on text.
WITH stated AS (
  -- A column of its own, since coalesce would ask for it once to see whether there is one and once more to have it.
  SELECT d.*, CASE WHEN d.license IS NULL THEN license(d.text)['spdx'] END AS stated_license
  FROM raw.docs d
),
named AS (
  SELECT
    d.doc_id, d.source, d.uri, d.package, d.path, d.media_type, d.fetched_at, d.bytes,
    -- What a file says of itself speaks before its package.
    coalesce(d.license, d.stated_license, p.license) AS license,
    -- A list of signals, each once.
    CASE WHEN d.media_type = 'text/html' THEN
      nullif(array_to_string(array_sort(array_distinct(array_transform(opt_outs(d.text), o -> o['signal']))), ' '), '')
    END AS opt_out,
    coalesce(d.media_type = 'text/html', FALSE) AS is_page,
    programming_language(d.path, d.text) AS programming_language,
    -- A page is what it says; a file of code stays as it is, byte for byte.
    CASE WHEN d.media_type = 'text/html' THEN html_text(d.text) ELSE d.text END AS text
  FROM stated d
  LEFT JOIN clean.packages p ON p.source = d.source AND p.folder = split_part(regexp_replace(d.path, '#[a-z]+=.*', ''), '/', 1)
),
categorised AS (
  SELECT
    n.*,
    CASE
      WHEN n.is_page OR coalesce(programming_language_type(n.programming_language), 'prose') = 'prose' THEN 'prose'
      WHEN programming_language_type(n.programming_language) = 'data' AND n.programming_language NOT IN ('Ansible', 'SQL') THEN 'data'
      ELSE 'code'
    END AS kind
  FROM named n
),
cleaned AS (
  SELECT c.*, CASE WHEN c.kind = 'prose' THEN clean_text(fix_mojibake(c.text)) ELSE c.text END AS body
  FROM categorised c
),
told AS (
  SELECT c.*, language(c.body) AS language
  FROM cleaned c
)
SELECT
  t.doc_id, t.source, t.uri, domain(t.uri) AS domain, t.package, t.path, t.media_type,
  t.license, license_class(t.license) AS license_class, t.opt_out, t.fetched_at,
  t.kind,
  t.programming_language,
  t.language,
  script(t.body) AS script,
  CASE WHEN t.kind = 'prose' THEN t.language ELSE t.programming_language END AS category,
  hap_score(t.body) AS hap_score,
  CASE WHEN t.kind = 'prose' THEN gopher_quality(t.body, 'polder') END AS gopher,
  CASE WHEN t.kind = 'prose' THEN gopher_repetition(t.body) END AS repetition,
  CASE WHEN t.kind <> 'prose' THEN code_quality(t.body) END AS code_quality,
  array_length(secrets(t.body)) AS n_secrets,
  array_length(pii(t.body)) AS n_pii,
  -- Addresses of people's pages and places are left where code and data need them.
  pii_redact(t.body, CASE WHEN t.kind = 'prose' THEN '' ELSE 'email,phone,card,iban,ipv4,us_ssn,crypto_wallet,url_credentials' END) AS text,
  t.bytes AS bytes_raw
FROM told t
