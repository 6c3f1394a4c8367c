-- why: Every score that was recorded; cards take the newest of each.
SELECT
  e.model, e.task, e."group", e.metric, e.value, e.stderr, e.n, e.n_contaminated, e.data_digest, e.requests_digest,
  CAST(to_timestamp_millis(e.at) AS BIGINT) AS at_ms
FROM ops.evals e
ORDER BY e.model, e.task, e."group", e.metric, e.at
