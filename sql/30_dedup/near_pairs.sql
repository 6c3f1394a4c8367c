-- table: clean.near_pairs
-- mode: full
-- param: jaccard_min = 0.8
-- why: Candidates share a band of MinHash; the exact Jaccard similarity of their 5-word shingles decides; of a cluster the least doc_id stays.
SELECT n.doc_id, n.dup_of, n.cluster_id, n.jaccard, n.match_id, n.match_jaccard
FROM near_duplicates('clean.docs_exact', jaccard => $jaccard_min) n
