-- why: Under which licences a pile's documents stand.
SELECT coalesce(d.license, '(none)') AS name, count(*) AS n_docs, coalesce(sum(d.bytes), 0) AS bytes
FROM documents d
GROUP BY coalesce(d.license, '(none)')
ORDER BY bytes DESC, name
