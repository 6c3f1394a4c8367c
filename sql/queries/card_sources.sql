-- why: Where a pile's documents come from.
SELECT coalesce(d.source, '(none)') AS name, count(*) AS n_docs, coalesce(sum(d.bytes), 0) AS bytes
FROM documents d
GROUP BY coalesce(d.source, '(none)')
ORDER BY bytes DESC, name
