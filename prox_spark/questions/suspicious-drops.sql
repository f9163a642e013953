-- Which removed lines look like prose (long, many words, ending like a sentence, in only one document)?
SELECT any_value(doc_id) AS doc_id, any_value(line_number) AS line_number, any_value(operation) AS operation,
       any_value(score) AS score, text
FROM dropped_lines
WHERE replacement IS NULL AND length(text) >= 200 AND size(split(text, ' ')) >= 30 AND text RLIKE '[.!?。！？]["»”)]?\\s*$'
GROUP BY text
HAVING count(DISTINCT doc_id) = 1
ORDER BY length(text) DESC, doc_id
LIMIT 100
