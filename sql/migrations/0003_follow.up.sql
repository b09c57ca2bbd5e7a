-- How documents follow Immich's rows: statement-level triggers, and one function that both triggers and backfill call.
--
-- Nothing here may ever fail a write of Immich's, or hold it up: a trigger waits for a lock of ours no longer than
-- `lock_timeout`, notes what it could not do in mesh.stale, and lets the write pass; `immich-mesh db backfill` heals.
-- Nothing holds on to Immich's tables either: functions find them by name when they run, so Immich may alter, rename and
-- drop what it likes.
--
-- Functions that run with their owner's rights (SECURITY DEFINER) trust only what that same owner owns: where PUBLIC may
-- create in schema public (PostgreSQL 14's default), anybody could put a view with a function of his own there.

CREATE TABLE mesh.stale (asset_id uuid, noticed_at timestamptz NOT NULL DEFAULT now(), reason text NOT NULL);
COMMENT ON TABLE mesh.stale IS 'Photos whose document a trigger could not renew (null: unknown which); backfill empties it.';

CREATE TABLE mesh.emptied (source text PRIMARY KEY, at timestamptz NOT NULL);
COMMENT ON TABLE mesh.emptied IS 'When Immich last emptied a table of OCR text for a forced run: a photo without text whose "ocrAt" is older was lost.';

CREATE TABLE mesh.turn (slot integer PRIMARY KEY);
INSERT INTO mesh.turn SELECT generate_series(0, 1023);
COMMENT ON TABLE mesh.turn IS 'Rows that writers of documents lock, a photo by its hash: the second writer of a photo reads what the first has committed. Unlike advisory locks, nobody else can take them.';

CREATE FUNCTION mesh.trusted(relation text) RETURNS regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT pg_class.oid::regclass FROM pg_class
  WHERE relnamespace = to_regnamespace('public') AND relname = relation AND relkind IN ('r', 'p')
    AND relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
$$;
COMMENT ON FUNCTION mesh.trusted(text) IS 'Immich''s table of that name: an ordinary table of the role that this runs as; null for anything else.';

CREATE FUNCTION mesh.sources() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT ARRAY(SELECT source FROM unnest(ARRAY['asset_ocr', 'ocr_info']) AS source WHERE mesh.trusted(source) IS NOT NULL)
$$;
COMMENT ON FUNCTION mesh.sources() IS 'Immich''s tables of OCR text that are there.';

-- The side of the smaller pair of edges: the height of the letters, also of turned and of vertical lines.
CREATE FUNCTION mesh.letter_size(x1 real, y1 real, x2 real, y2 real, x4 real, y4 real) RETURNS real
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT least(sqrt((x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1)), sqrt((x4 - x1) * (x4 - x1) + (y4 - y1) * (y4 - y1)))::real
$$;

-- As JSON, a row without "isVisible" (an early Immich's) has null there instead of being an error.
CREATE FUNCTION mesh.official_lines(ids uuid[]) RETURNS SETOF mesh.line
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  IF mesh.trusted('asset_ocr') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT "assetId", row_number() OVER (PARTITION BY "assetId" ORDER BY round(middle / step), x1, y1, id)::integer,
         text, "textScore"::real, size
  FROM (SELECT *, (y1 + y3) / 2 AS middle, greatest(avg(size) OVER (PARTITION BY "assetId"), 0.002) AS step
        FROM (SELECT *, mesh.letter_size(x1::real, y1::real, x2::real, y2::real, x4::real, y4::real) AS size
              FROM public.asset_ocr AS line
              WHERE "assetId" = ANY (ids) AND to_jsonb(line) -> 'isVisible' IS DISTINCT FROM 'false') AS sized) AS placed;
END
$$;
COMMENT ON FUNCTION mesh.official_lines(uuid[]) IS 'Visible lines of asset_ocr in reading order: row by row, left to right.';

-- The seed's fork keeps {"texts": [...], "scores": ["0.98", ...], "boxes": [{"x1", "y1", "x2": width, "y2": height}]}, bare or
-- below "result", or nothing but the joined text.
CREATE FUNCTION mesh.fork_lines(ids uuid[]) RETURNS SETOF mesh.line
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF mesh.trusted('ocr_info') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT info."assetId", part.reading::integer, part.content, part.confidence, part.size
  FROM (SELECT "assetId", text, coalesce(nullif("ocrJson" -> 'result', 'null'), "ocrJson") AS recognised FROM public.ocr_info
        WHERE "assetId" = ANY (ids)) AS info
  CROSS JOIN LATERAL (
    SELECT reading, content, mesh.to_real(recognised -> 'scores' ->> (reading - 1)::integer) AS confidence,
           least(mesh.to_real(recognised #>> ARRAY['boxes', (reading - 1)::text, 'x2']),
                 mesh.to_real(recognised #>> ARRAY['boxes', (reading - 1)::text, 'y2']))
             -- Pixels: the lowest box stands for the height of the photo, which is not kept.
             / nullif(max(mesh.to_real(recognised #>> ARRAY['boxes', (reading - 1)::text, 'y1'])
                          + mesh.to_real(recognised #>> ARRAY['boxes', (reading - 1)::text, 'y2'])) OVER (), 0) AS size
    FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(recognised -> 'texts') = 'array' THEN recognised -> 'texts'
                                        ELSE to_jsonb(regexp_split_to_array(info.text, '\n')) END)
         WITH ORDINALITY AS listed(content, reading)) AS part;
END
$$;
COMMENT ON FUNCTION mesh.fork_lines(uuid[]) IS 'Lines of the seed fork''s ocr_info.';

CREATE FUNCTION mesh.to_real(value text) RETURNS real
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN value ~ '^-?[0-9]{1,9}(\.[0-9]{1,9})?$' THEN value::real END
$$;

CREATE FUNCTION mesh.source_lines(ids uuid[]) RETURNS SETOF mesh.line
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH official AS MATERIALIZED (SELECT * FROM mesh.official_lines(ids))
  SELECT * FROM official
  UNION ALL
  SELECT * FROM mesh.fork_lines(ARRAY(SELECT unnest(ids) EXCEPT SELECT asset_id FROM official))
$$;
COMMENT ON FUNCTION mesh.source_lines(uuid[]) IS 'The photos'' lines from whichever table this Immich has; asset_ocr first.';

CREATE FUNCTION mesh.take_turns(ids uuid[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  -- In the order of the slots, so that two writers of several photos do not wait for each other in a circle.
  SELECT FROM mesh.turn WHERE slot = ANY (ARRAY(SELECT DISTINCT uuid_hash_extended(id, 0)::bit(10)::integer FROM unnest(ids) AS id))
  ORDER BY slot FOR NO KEY UPDATE
$$;

CREATE FUNCTION mesh.refresh(ids uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  changed integer;
  gone integer;
BEGIN
  IF mesh.trusted('asset') IS NULL OR coalesce(mesh.trusted('asset_ocr'), mesh.trusted('ocr_info')) IS NULL THEN
    RETURN 0;
  END IF;
  PERFORM mesh.take_turns(ids);
  WITH photo AS MATERIALIZED (
    SELECT line.asset_id, array_agg(line ORDER BY line.reading) AS lines,
           md5('2' || string_agg(concat_ws('|', line.content, line.confidence, line.size), E'\n' ORDER BY line.reading))::uuid
             AS fingerprint
    FROM mesh.source_lines(ids) AS line GROUP BY line.asset_id
  ), removed AS (
    DELETE FROM mesh.ocr_document WHERE asset_id = ANY (ids) AND asset_id NOT IN (SELECT photo.asset_id FROM photo) RETURNING 1
  ), written AS (
    INSERT INTO mesh.ocr_document AS old (asset_id, owner_id, headline, words, grams, body, fingerprint)
    SELECT photo.asset_id, asset."ownerId", made.headline, made.words, made.grams, made.body, photo.fingerprint
    FROM photo JOIN public.asset ON asset.id = photo.asset_id CROSS JOIN LATERAL mesh.document(photo.lines) AS made
    WHERE NOT EXISTS (SELECT FROM mesh.ocr_document AS same WHERE same.asset_id = photo.asset_id
                      AND same.fingerprint = photo.fingerprint AND same.owner_id = asset."ownerId")
    ON CONFLICT (asset_id) DO UPDATE SET (owner_id, headline, words, grams, body, fingerprint) =
      (excluded.owner_id, excluded.headline, excluded.words, excluded.grams, excluded.body, excluded.fingerprint)
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM written), (SELECT count(*) FROM removed) INTO changed, gone;
  RETURN changed + gone;
END
$$;
COMMENT ON FUNCTION mesh.refresh(uuid[]) IS 'Makes the documents of these photos equal to their lines; returns how many changed.';

CREATE FUNCTION mesh.follow(ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  FOR start IN 1 .. cardinality(ids) BY 500 LOOP
    PERFORM mesh.refresh(ids[start : start + 499]);
  END LOOP;
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'immich-mesh: documents of % photos are stale until backfill: %', cardinality(ids), SQLERRM;
  INSERT INTO mesh.stale (asset_id, reason) SELECT id, SQLERRM FROM unnest(ids) AS id;
END
$$;

CREATE FUNCTION mesh.on_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO mesh.emptied (source, at) VALUES (TG_TABLE_NAME, now()) ON CONFLICT (source) DO UPDATE SET at = excluded.at;
    IF mesh.trusted('asset_ocr') IS NULL OR mesh.trusted('ocr_info') IS NULL THEN
      DELETE FROM mesh.ocr_document;
    ELSE
      PERFORM mesh.follow(ARRAY(SELECT asset_id FROM mesh.ocr_document ORDER BY 1));
    END IF;
  ELSIF TG_OP = 'UPDATE' THEN
    PERFORM mesh.follow(ARRAY(SELECT "assetId" FROM changed UNION SELECT "assetId" FROM changed_to ORDER BY 1));
  ELSE
    PERFORM mesh.follow(ARRAY(SELECT DISTINCT "assetId" FROM changed ORDER BY 1));
  END IF;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  BEGIN
    RAISE WARNING 'immich-mesh: a change of % is not searchable until backfill: %', TG_TABLE_NAME, SQLERRM;
    INSERT INTO mesh.stale (reason) VALUES (SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    -- Not even that can be noted (the table is gone or locked): Immich's write passes all the same.
    RAISE WARNING 'immich-mesh: mesh.stale cannot be written: %', SQLERRM;
  END;
  RETURN NULL;
END
$$;

CREATE FUNCTION mesh.attach() RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  source text;
  created text[] := '{}';
  trigger_name text;
  event text;
BEGIN
  FOREACH source IN ARRAY mesh.sources() LOOP
    FOR trigger_name, event IN VALUES
      ('mesh_insert', 'INSERT ON public.%I REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mesh.on_change()'),
      ('mesh_delete', 'DELETE ON public.%I REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mesh.on_change()'),
      ('mesh_update', 'UPDATE ON public.%I REFERENCING OLD TABLE AS changed NEW TABLE AS changed_to FOR EACH STATEMENT EXECUTE FUNCTION mesh.on_change()'),
      ('mesh_truncate', 'TRUNCATE ON public.%I FOR EACH STATEMENT EXECUTE FUNCTION mesh.on_change()')
    LOOP
      CONTINUE WHEN EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('public.' || source) AND tgname = trigger_name
                            AND tgenabled IN ('O', 'A'));
      EXECUTE format('DROP TRIGGER IF EXISTS %I ON public.%I', trigger_name, source);
      EXECUTE format('CREATE TRIGGER %I AFTER ' || event, trigger_name, source);
      created := created || format('%s.%s', source, trigger_name);
    END LOOP;
  END LOOP;
  RETURN created;
END
$$;
COMMENT ON FUNCTION mesh.attach() IS 'Creates the triggers that are missing on Immich''s OCR tables; returns their names.';

CREATE FUNCTION mesh.detach() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  FOR found IN SELECT tgname, tgrelid::regclass AS source FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
               WHERE pronamespace = 'mesh'::regnamespace LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', found.tgname, found.source);
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION mesh.refresh(uuid[]), mesh.follow(uuid[]), mesh.take_turns(uuid[]), mesh.on_change(), mesh.attach(), mesh.detach()
  FROM PUBLIC;
SELECT mesh.attach();

-- Texts that were there before: until a backfill has read them, a ranked search would miss most of what Immich's own finds.
DO $$
DECLARE
  source text;
  has_texts boolean := false;
BEGIN
  FOREACH source IN ARRAY mesh.sources() LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', source) INTO has_texts;
    EXIT WHEN has_texts;
  END LOOP;
  IF has_texts THEN
    INSERT INTO mesh.stale (reason) VALUES ('no backfill has run');
  END IF;
END
$$;
