-- table: clean.packages
-- mode: full
-- why: A package's licence stands in its manifest or licence file, not in each source file.
WITH files AS (
  -- The records of a file are of one folder, which is the file.
  SELECT d.source, split_part(regexp_replace(d.path, '#[a-z]+=.*', ''), '/', 1) AS folder, d.path, d.text
  FROM raw.docs d
  WHERE NOT regexp_like(d.path, '^[^/]+/.+/')
),
declared AS (
  SELECT
    f.source, f.folder,
    min(regexp_match(f.text, '(?m)^\s*"?license"?\s*[:=]\s*"([^"\n]{2,100})"')[1]) AS license
  FROM files f
  WHERE regexp_like(f.path, '/(Cargo\.toml|package\.json|pyproject\.toml)$')
  GROUP BY f.source, f.folder
),
recognised AS (
  SELECT f.source, f.folder, min(license(f.text)['spdx']) AS license
  FROM files f
  WHERE regexp_like(f.path, '(?i)/(licen[cs]e|copying|unlicense)[^/]*$')
  GROUP BY f.source, f.folder
),
folders AS (
  SELECT d.source, split_part(regexp_replace(d.path, '#[a-z]+=.*', ''), '/', 1) AS folder, min(d.package) AS package, count(*) AS n_files, sum(d.bytes) AS bytes
  FROM raw.docs d
  GROUP BY d.source, split_part(regexp_replace(d.path, '#[a-z]+=.*', ''), '/', 1)
)
SELECT
  f.source,
  f.folder,
  f.package,
  coalesce(d.license, r.license) AS license,
  CASE WHEN d.license IS NOT NULL THEN 'manifest' WHEN r.license IS NOT NULL THEN 'licence file' END AS license_from,
  f.n_files,
  f.bytes
FROM folders f
LEFT JOIN declared d ON d.source = f.source AND d.folder = f.folder
LEFT JOIN recognised r ON r.source = f.source AND r.folder = f.folder
