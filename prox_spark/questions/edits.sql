-- Which lines were rewritten, from what to what?
SELECT doc_id, line_number, operation, text AS before, replacement AS after, length(text) - length(replacement) AS characters
FROM dropped_lines
WHERE replacement IS NOT NULL
ORDER BY characters DESC, doc_id, line_number
LIMIT 100
