-- Which removed lines occur in the most documents? Boilerplate comes first.
SELECT text, count(DISTINCT doc_id) AS documents, count(*) AS lines, collect_set(operation) AS operations
FROM dropped_lines
WHERE replacement IS NULL
GROUP BY text
ORDER BY documents DESC, text
LIMIT 100
