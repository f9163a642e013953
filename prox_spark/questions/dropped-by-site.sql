-- Which operations remove or change how many lines of the kept documents of each site?
SELECT regexp_extract(r.url, '://([^/:?#]+)', 1) AS site, l.operation,
       count(DISTINCT l.doc_id) AS documents, count(*) AS lines, sum(length(l.text)) AS characters
FROM dropped_lines l JOIN refined r ON r.doc_id = l.doc_id AND r.unit = l.unit
GROUP BY ALL
ORDER BY lines DESC, site, operation
LIMIT 100
