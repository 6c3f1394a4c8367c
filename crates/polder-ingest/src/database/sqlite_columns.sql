-- Schema, table, column, and the column's position in the primary key. Hidden columns of virtual tables are no columns of theirs.
SELECT 'main', t.name, c.name, nullif(c.pk, 0)
FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c
WHERE t.type IN ('table', 'view') AND t.name = $table COLLATE NOCASE AND ($schema IS NULL OR $schema = 'main') AND c.hidden <> 1
ORDER BY c.cid
