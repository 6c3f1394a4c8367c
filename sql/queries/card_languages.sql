-- why: Which natural languages a pile's prose and comments are in.
SELECT coalesce(d.language, '(none)') AS name, count(*) AS n_docs, coalesce(sum(d.bytes), 0) AS bytes
FROM documents d
GROUP BY coalesce(d.language, '(none)')
ORDER BY bytes DESC, name
