-- Which lines are kept in some documents but removed from at least two others?
WITH removed AS (
  SELECT text, count(DISTINCT doc_id) AS removed_from
  FROM dropped_lines
  WHERE replacement IS NULL AND length(trim(text)) > 0
  GROUP BY text
  HAVING count(DISTINCT doc_id) >= 2
),
kept AS (SELECT doc_id, explode(split(text, '\n')) AS text FROM refined)
SELECT k.text, count(DISTINCT k.doc_id) AS kept_in, max(r.removed_from) AS removed_from, min(k.doc_id) AS example
FROM kept k JOIN removed r ON r.text = k.text
GROUP BY k.text
ORDER BY kept_in DESC, k.text
LIMIT 100
