-- Refreshing single photos: exactly the rows that Immich itself would write, with the rights of the owner of Immich's tables,
-- so that Immich's own triggers (Immich 3 keeps an audit of deleted lines) may write what they write there.
--
-- Those triggers find their tables by the session's search path, as in Immich's own sessions: schema public is on it while
-- Immich's tables are written, after pg_catalog, and every name of ours says its schema.

CREATE FUNCTION mesh.demand_photo(photo uuid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Once a row names it, the foreign key keeps it until the transaction ends.
  IF mesh.trusted('asset') IS NULL OR NOT EXISTS (SELECT FROM public.asset WHERE id = photo) THEN
    RAISE no_data_found USING MESSAGE = 'the photo was deleted meanwhile';
  END IF;
END
$$;

-- `boxes` holds eight numbers for each line. `tokens` is what Immich's own OCR filter searches, `fork` the seed fork's JSON.
CREATE FUNCTION mesh.replace_text(photo uuid, read_at timestamptz, boxes real[], box_scores real[], text_scores real[], texts text[],
                                  tokens text, fork jsonb, joined text) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  before text[] := '{}';
BEGIN
  PERFORM mesh.demand(true);
  PERFORM mesh.demand_photo(photo);
  IF mesh.trusted('asset_ocr') IS NULL AND mesh.trusted('ocr_info') IS NULL THEN
    RAISE undefined_table USING MESSAGE = 'this database has no OCR table: Immich 2.2 or later is needed';
  END IF;
  PERFORM set_config('search_path', 'pg_catalog, public, pg_temp', true);
  -- First, because this row's lock makes a second refresh of the same photo wait for the first.
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = mesh.trusted('asset_job_status') AND attname = 'ocrAt' AND NOT attisdropped) THEN
    INSERT INTO public.asset_job_status ("assetId", "ocrAt") VALUES (photo, read_at)
    ON CONFLICT ("assetId") DO UPDATE SET "ocrAt" = excluded."ocrAt";
  END IF;
  IF mesh.trusted('ocr_info') IS NOT NULL THEN
    before := ARRAY(SELECT info.text FROM public.ocr_info AS info WHERE info."assetId" = photo AND info.text <> '');
    -- One row per photo, also for one without text: a stale row must not survive.
    INSERT INTO public.ocr_info ("assetId", text, "ocrJson") VALUES (photo, joined, fork)
    ON CONFLICT ("assetId") DO UPDATE SET text = excluded.text, "ocrJson" = excluded."ocrJson";
  END IF;
  IF mesh.trusted('asset_ocr') IS NOT NULL THEN
    before := ARRAY(SELECT line.text FROM public.asset_ocr AS line WHERE line."assetId" = photo ORDER BY line.ctid);
    DELETE FROM public.asset_ocr AS line WHERE line."assetId" = photo;
    -- Immich leaves `id` and `isVisible` to their defaults, and so do we.
    INSERT INTO public.asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)
    SELECT photo, boxes[n * 8 - 7], boxes[n * 8 - 6], boxes[n * 8 - 5], boxes[n * 8 - 4], boxes[n * 8 - 3], boxes[n * 8 - 2],
           boxes[n * 8 - 1], boxes[n * 8], box_scores[n], text_scores[n], texts[n]
    FROM generate_series(1, cardinality(texts)) AS n;
    IF mesh.trusted('ocr_search') IS NOT NULL AND cardinality(texts) > 0 THEN
      INSERT INTO public.ocr_search ("assetId", text) VALUES (photo, tokens)
      ON CONFLICT ("assetId") DO UPDATE SET text = excluded.text;
    ELSIF mesh.trusted('ocr_search') IS NOT NULL THEN
      DELETE FROM public.ocr_search AS tokenised WHERE tokenised."assetId" = photo;
    END IF;
  END IF;
  RETURN before;
END
$$;
COMMENT ON FUNCTION mesh.replace_text(uuid, timestamptz, real[], real[], real[], text[], text, jsonb, text)
  IS 'Replaces a photo''s text, by nothing when there are no texts; returns the lines that it had.';

CREATE FUNCTION mesh.replace_embedding(photo uuid, embedding text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  statement text;
BEGIN
  PERFORM mesh.demand(true);
  PERFORM mesh.demand_photo(photo);
  SELECT format('INSERT INTO public.smart_search ("assetId", embedding) VALUES ($1, $2::%s)'
                ' ON CONFLICT ("assetId") DO UPDATE SET embedding = excluded.embedding', format_type(atttypid, atttypmod))
  INTO STRICT statement FROM pg_attribute WHERE attrelid = mesh.trusted('smart_search') AND attname = 'embedding' AND NOT attisdropped;
  PERFORM set_config('search_path', 'pg_catalog, public, pg_temp', true);
  EXECUTE statement USING photo, embedding;
END
$$;
COMMENT ON FUNCTION mesh.replace_embedding(uuid, text) IS 'Replaces a photo''s CLIP vector.';

CREATE FUNCTION mesh.ml_settings() RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(false);
  IF mesh.trusted('system_metadata') IS NULL THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT value -> 'machineLearning' FROM public.system_metadata WHERE key = 'system-config');
END
$$;
COMMENT ON FUNCTION mesh.ml_settings() IS 'What an administrator changed in Immich''s machine-learning settings; the rest are Immich''s defaults.';

-- Photos whose text Immich lost. Either no OCR run ever ended ("ocrAt" is empty), or one did, but before Immich last emptied
-- the table for a forced run: a photo without rows whose "ocrAt" is older than that moment was dropped on the way. Where our
-- trigger did not see that moment, the oldest "ocrAt" of a photo with rows stands in: every row was written after it.
CREATE FUNCTION mesh.missing_text(owner uuid) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  since timestamptz;
BEGIN
  PERFORM mesh.demand(false);
  IF mesh.trusted('asset_ocr') IS NOT NULL AND mesh.trusted('asset_job_status') IS NOT NULL THEN
    since := (SELECT at FROM mesh.emptied WHERE source = 'asset_ocr');
    IF since IS NULL THEN
      since := (SELECT min(status."ocrAt") FROM public.asset_job_status AS status
                WHERE EXISTS (SELECT FROM public.asset_ocr AS line WHERE line."assetId" = status."assetId"));
    END IF;
    RETURN QUERY
    SELECT asset.id FROM public.asset LEFT JOIN public.asset_job_status AS status ON status."assetId" = asset.id
    WHERE asset."ownerId" = owner AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
      AND (status."ocrAt" IS NULL
           OR (status."ocrAt" < since AND NOT EXISTS (SELECT FROM public.asset_ocr AS line WHERE line."assetId" = asset.id)))
    ORDER BY asset.id;
  ELSIF mesh.trusted('ocr_info') IS NOT NULL THEN
    RETURN QUERY
    SELECT asset.id FROM public.asset
    WHERE asset."ownerId" = owner AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
      AND NOT EXISTS (SELECT FROM public.ocr_info AS info WHERE info."assetId" = asset.id)
    ORDER BY asset.id;
  END IF;
END
$$;
COMMENT ON FUNCTION mesh.missing_text(uuid) IS 'An owner''s photos whose text Immich never wrote, or lost in a forced run.';

CREATE FUNCTION mesh.missing_embedding(owner uuid) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(false);
  IF mesh.trusted('smart_search') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT asset.id FROM public.asset
  WHERE asset."ownerId" = owner AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
    AND NOT EXISTS (SELECT FROM public.smart_search AS vector WHERE vector."assetId" = asset.id)
  ORDER BY asset.id;
END
$$;
COMMENT ON FUNCTION mesh.missing_embedding(uuid) IS 'An owner''s photos without an embedding; no search by look can find them.';
