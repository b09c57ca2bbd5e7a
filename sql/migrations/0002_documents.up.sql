-- What is searched: one document per photo with text, cut into tokens that need no extension.
--
-- A run of a script that puts no spaces between words (Chinese, Japanese, Korean, Thai ...) becomes one token per
-- character: the character with its follower, the last one alone. So every character starts a token, any two neighbours
-- are one token, and longer words are phrases of tokens. The first one is a token by itself too, so that what ends in it
-- ("T79次", or a line that goes on in the next) is found without asking for all tokens that begin with it. A word or number of any other script is one token. Positions
-- count characters and words; punctuation and line ends take none, so that a phrase may reach over them. Emoji are such
-- characters too. A date is a token by itself beside its digits, '#20240305', whichever way it is written.
--
-- All of it costs in proportion to the text: whatever walks through a string by position (substr) would not.

CREATE FUNCTION mesh.separators() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT '['
    '\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u25ff\u27c0-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020'
    '\u302a-\u3030\u3036-\u3040\u30fb\ufd3e\ufd3f\ufe10-\ufe6f\uff00-\uffff\U0001f000-\U0001f0ff'
    ']+'
$$;
COMMENT ON FUNCTION mesh.separators() IS 'Regular expression of what stands between words: punctuation, symbols, spaces.';

CREATE FUNCTION mesh.runs(folded text, OUT ordinal bigint, OUT unsegmented boolean, OUT run text) RETURNS SETOF record
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
  SELECT number, found[1] IS NOT NULL, coalesce(found[1], left(found[2], 128))
  FROM regexp_matches(folded,
    '([\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2600-\u27bf\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035'
    '\u3041-\u30fa\u30fc-\u318f\u31a0-\u31ff\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001f100-\U0001faff\U00020000-\U0003ffff]+)'
    '|([^\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u2bff\u2e00-\u2e7f\u3000-\u303f\u30fb'
    '\ufd3e\ufd3f\ufe10-\ufe6f\uff00-\uffff\U0001f000-\U0001faff'
    '\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3041-\u30fa\u30fc-\u318f\u31a0-\u31ff'
    '\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+)', 'g')
    WITH ORDINALITY AS matches(found, number)
$$;
COMMENT ON FUNCTION mesh.runs(text) IS 'Folded text as runs of unsegmented scripts and emoji (true) and words or numbers (false).';

-- English months by their first three letters; in numbers the year has four digits. 05/03/2024 may be either: both are kept.
CREATE FUNCTION mesh.dates(folded text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
  WITH part AS (
    SELECT found[1] AS y, found[2] AS m, found[3] AS d FROM regexp_matches(folded,
      '(?<![0-9])((?:19|20)[0-9]{2}) ?[-./年] ?(1[0-2]|0?[1-9])(?![0-9])(?: ?[-./月] ?(3[01]|[12][0-9]|0?[1-9])(?![0-9]))?', 'g') AS found
    UNION ALL
    SELECT found[3], found[2], found[1] FROM regexp_matches(folded,
      '(?<![0-9.])(3[01]|[12][0-9]|0?[1-9])[-./](1[0-2]|0?[1-9])[-./]((?:19|20)[0-9]{2})(?![0-9])', 'g') AS found
    UNION ALL
    SELECT found[3], found[1], found[2] FROM regexp_matches(folded,
      '(?<![0-9.])(1[0-2]|0?[1-9])/(3[01]|[12][0-9]|0?[1-9])/((?:19|20)[0-9]{2})(?![0-9])', 'g') AS found
    UNION ALL
    SELECT NULL, found[1], found[2] FROM regexp_matches(folded,
      '(?<![0-9])(1[0-2]|0?[1-9]) ?月 ?(3[01]|[12][0-9]|0?[1-9])(?![0-9])', 'g') AS found
    UNION ALL
    SELECT found[3], (position(found[2] IN 'janfebmaraprmayjunjulaugsepoctnovdec') / 3 + 1)::text, found[1] FROM regexp_matches(folded,
      '(?<![0-9a-z])(3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)?[-. ]*(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-., ]*((?:19|20)[0-9]{2})(?![0-9])', 'g') AS found
    UNION ALL
    SELECT found[3], (position(found[1] IN 'janfebmaraprmayjunjulaugsepoctnovdec') / 3 + 1)::text, found[2] FROM regexp_matches(folded,
      '(?<![a-z])(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-. ]*(3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)?(?:[., ]+((?:19|20)[0-9]{2}))(?![0-9])', 'g') AS found
  )
  SELECT DISTINCT unnest(ARRAY['#' || y || lpad(m, 2, '0') || lpad(d, 2, '0'), '#' || y || lpad(m, 2, '0'), '#' || lpad(m, 2, '0') || lpad(d, 2, '0')])
  FROM part
$$;
COMMENT ON FUNCTION mesh.dates(text) IS 'Dates in folded text, whichever way they are written, as #yyyymmdd, #yyyymm and #mmdd; null where a part is unknown.';

-- One line of a photo as the source table has it. `size` is the height of its letters, 0..1 of the photo's side.
CREATE TYPE mesh.line AS (asset_id uuid, reading integer, content text, confidence real, size real);

CREATE TABLE mesh.ocr_document (
  asset_id uuid PRIMARY KEY,
  owner_id uuid NOT NULL,
  headline tsvector NOT NULL,
  words tsvector NOT NULL,
  grams tsvector NOT NULL,
  body text NOT NULL,
  fingerprint uuid NOT NULL
);
COMMENT ON TABLE mesh.ocr_document IS 'The text in each photo, folded and cut into tokens; kept by triggers, rebuilt by backfill.';
COMMENT ON COLUMN mesh.ocr_document.headline IS 'Tokens of the largest lines: small, asked first.';
COMMENT ON COLUMN mesh.ocr_document.words IS 'All tokens with positions; weight A to C by letter size, D where OCR was unsure.';
COMMENT ON COLUMN mesh.ocr_document.grams IS 'Three letters each of words and numbers, look-alikes (0 o, 1 l i) made one.';
COMMENT ON COLUMN mesh.ocr_document.body IS 'The folded text, what separates words as one space each: where substrings are looked up.';
COMMENT ON COLUMN mesh.ocr_document.fingerprint IS 'Hash of the source lines and of the version of this code.';
ALTER TABLE mesh.ocr_document
  ALTER COLUMN headline SET STORAGE MAIN, ALTER COLUMN words SET STORAGE MAIN, ALTER COLUMN grams SET STORAGE EXTENDED;

CREATE FUNCTION mesh.grams(word text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT gram FROM (
    SELECT letter || lead(letter) OVER following || lead(letter, 2) OVER following AS gram
    FROM string_to_table(translate(word, 'oilsbz', '011582'), NULL) WITH ORDINALITY AS letters(letter, place)
    WINDOW following AS (ORDER BY place)
  ) AS triple WHERE gram IS NOT NULL
$$;
COMMENT ON FUNCTION mesh.grams(text) IS 'Overlapping triples of a word, with letters and digits that OCR mixes up made one.';

CREATE FUNCTION mesh.document(lines mesh.line[]) RETURNS mesh.ocr_document
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  document mesh.ocr_document;
BEGIN
  WITH line AS (
    SELECT reading, mesh.fold(left(content, 20000)) AS folded, confidence, size,
           size / nullif(max(size) OVER (), 0) AS prominence
    FROM (SELECT *, sum(length(content)) OVER (ORDER BY reading) - length(content) AS before FROM unnest(lines)) AS source
    -- A page of a book holds some 3,000 characters; a tsvector knows 16,383 places.
    WHERE before < 20000
  ), large AS (
    SELECT reading FROM (
      SELECT reading, sum(length(folded)) OVER (ORDER BY prominence DESC, reading) - length(folded) AS before
      FROM line WHERE prominence >= 0.7
    ) AS by_size WHERE before < 48
  ), run AS (
    SELECT line.reading, part.ordinal, part.unsegmented, part.run,
           large.reading IS NOT NULL AND part.ordinal <= 64 AS is_large,
           CASE WHEN confidence < 0.85 THEN 'D' WHEN size >= 0.045 THEN 'A' WHEN size >= 0.025 THEN 'B' ELSE 'C' END AS weight,
           sum(CASE WHEN part.unsegmented THEN length(part.run) ELSE 1 END)
             OVER (ORDER BY line.reading, part.ordinal) - CASE WHEN part.unsegmented THEN length(part.run) ELSE 1 END AS before
    FROM line CROSS JOIN LATERAL mesh.runs(line.folded) AS part LEFT JOIN large ON large.reading = line.reading
  ), letter AS (
    SELECT letter, lead(letter) OVER (PARTITION BY before ORDER BY step) AS next, step, before + step AS place, is_large, weight
    FROM run CROSS JOIN LATERAL string_to_table(run.run, NULL) WITH ORDINALITY AS letters(letter, step)
    WHERE unsegmented AND before < 16383
  ), token AS (
    SELECT letter || coalesce(next, '') AS token, place, is_large, weight FROM letter
    UNION ALL
    SELECT letter, place, is_large, weight FROM letter WHERE step = 1 AND next IS NOT NULL
    UNION ALL
    SELECT left(run, 64), before + 1, is_large, weight FROM run WHERE NOT unsegmented
    UNION ALL
    SELECT date, first.before + 1, first.is_large, first.weight
    FROM (SELECT DISTINCT ON (reading) reading, before, is_large, weight FROM run ORDER BY reading, before) AS first
    JOIN line ON line.reading = first.reading AND line.folded ~ '(19|20)[0-9]{2}|月'
    CROSS JOIN LATERAL mesh.dates(line.folded) AS date WHERE date IS NOT NULL
  )
  SELECT coalesce((SELECT string_agg(format('''%s'':%s%s', token, place, weight), ' ') FROM token WHERE is_large AND place < 16383), ''),
         coalesce((SELECT string_agg(format('''%s'':%s%s', token, place, weight), ' ') FROM token WHERE place < 16383), ''),
         array_to_tsvector(ARRAY(
           SELECT mesh.grams(word[1])
           FROM regexp_matches((SELECT string_agg(CASE WHEN unsegmented THEN ' ' ELSE run END, '' ORDER BY before) FROM run),
             '[^ ]{3,}', 'g') AS word)),
         coalesce((SELECT string_agg(part, ' ' ORDER BY reading)
                   FROM (SELECT reading, btrim(regexp_replace(folded, mesh.separators(), ' ', 'g')) AS part FROM line) AS parts
                   WHERE part <> ''), '')
  INTO document.headline, document.words, document.grams, document.body;
  RETURN document;
END
$$;
COMMENT ON FUNCTION mesh.document(mesh.line[]) IS 'The searchable columns of one photo from its lines.';
