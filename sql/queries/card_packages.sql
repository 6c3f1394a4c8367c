-- why: Which packages a pile's documents come from, the largest first.
SELECT coalesce(d.package, '(none)') AS name, count(*) AS n_docs, coalesce(sum(d.bytes), 0) AS bytes
FROM documents d
GROUP BY coalesce(d.package, '(none)')
ORDER BY bytes DESC, name
