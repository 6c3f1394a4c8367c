-- why: The size of a pile, and the time over which its documents were fetched.
SELECT
  count(*) AS n_docs,
  coalesce(sum(d.bytes), 0) AS bytes,
  count(DISTINCT d.source) AS n_sources,
  CAST(to_timestamp_millis(min(d.fetched_at)) AS BIGINT) AS first_fetched_at,
  CAST(to_timestamp_millis(max(d.fetched_at)) AS BIGINT) AS last_fetched_at
FROM documents d
