-- why: Redaction must have nothing left to do in the pile; the offending rows are listed.
SELECT d.doc_id, d.path
FROM pile.base d
WHERE pii_redact(d.text) <> d.text
