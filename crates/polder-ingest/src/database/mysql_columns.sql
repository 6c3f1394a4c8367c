-- Schema, table, column, and the column's position in the primary key.
SELECT c.table_schema, c.table_name, c.column_name, k.ordinal_position
FROM information_schema.columns AS c
LEFT JOIN information_schema.key_column_usage AS k
  ON k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY'
WHERE c.table_schema = COALESCE($schema, DATABASE()) AND c.table_name = $table
ORDER BY c.ordinal_position
