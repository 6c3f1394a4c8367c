-- why: Which row stands where in a token set as it is; rows of shards that were replaced since stay in the book and are left out here.
WITH builds AS (
  SELECT s.build, s.at
  FROM ops.token_shards s
  WHERE s.token_set = $token_set
  ORDER BY s.at DESC, s.build
  LIMIT 1
),
shards AS (
  SELECT s.shard, s.shard_digest, s.split
  FROM ops.token_shards s
  JOIN builds b ON b.build = s.build AND b.at = s.at
  WHERE s.token_set = $token_set
)
SELECT s.split, d.shard, d.doc_idx, d.doc_id, d."table", d.version, d.n_tokens
FROM ops.token_documents d
JOIN shards s ON s.shard = d.shard AND s.shard_digest = d.shard_digest
WHERE d.token_set = $token_set
ORDER BY s.split, d.shard, d.doc_idx
