-- why: Lineage ends at the packages that documents came from, with what each brought.
SELECT d.source, d.package, count(*) AS n_docs, sum(d.bytes) AS bytes
FROM documents d
GROUP BY d.source, d.package
ORDER BY d.source, d.package
