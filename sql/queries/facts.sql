-- why: All that happened, in the order of time; the chain of digests binds the order of arrival.
SELECT
  f.fact_id,
  CAST(to_timestamp_millis(f.at) AS BIGINT) AS at_ms,
  f.actor, f.verb, f.subject, f.inputs, f.outputs, f.run_id, f.policy_digest, f.details, f.previous_digest
FROM ops.facts f
ORDER BY f.at, f.fact_id
