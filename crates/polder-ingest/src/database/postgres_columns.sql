-- Schema, table, column, and the column's position in the primary key.
SELECT n.nspname, c.relname, a.attname, pg_catalog.array_position(k.conkey, a.attnum)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE c.relname = $table
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND ($schema IS NULL AND pg_catalog.pg_table_is_visible(c.oid) OR n.nspname = $schema)
ORDER BY a.attnum
