-- why: Redaction must have nothing left to do in the pile; the offending rows are listed.
SELECT d.doc_id, d.path
FROM pile.base d
WHERE pii_redact(d.text, CASE WHEN d.kind = 'prose' THEN '' ELSE 'email,phone,card,iban,ipv4,us_ssn,crypto_wallet,url_credentials' END) <> d.text
