-- why: What ingest could not read is part of what a pile leaves out.
SELECT q.reason, count(*) AS n_docs, coalesce(sum(q.bytes), 0) AS bytes
FROM raw.quarantine q
GROUP BY q.reason
ORDER BY n_docs DESC, q.reason
