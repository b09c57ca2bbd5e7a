-- What a user's photos lack, and why: what can be done about it depends on the reason. `missing_text` and `missing_embedding`
-- stay for routers of an older version.

CREATE FUNCTION mesh.missing(owner uuid) RETURNS TABLE (kind text, photo uuid, reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  emptied timestamptz := (SELECT at FROM mesh.emptied WHERE source = 'asset_ocr');
  since timestamptz;
  unreadable uuid[] := '{}';
BEGIN
  PERFORM mesh.demand(false);
  IF mesh.trusted('asset') IS NULL THEN
    RETURN;
  END IF;
  IF mesh.trusted('asset_file') IS NOT NULL THEN
    unreadable := ARRAY(
      SELECT asset.id FROM public.asset
      WHERE asset."ownerId" = owner AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
        AND NOT EXISTS (SELECT FROM public.asset_file AS file WHERE file."assetId" = asset.id AND file.type::text = 'preview'));
  END IF;

  IF mesh.trusted('asset_ocr') IS NOT NULL AND mesh.trusted('asset_job_status') IS NOT NULL THEN
    -- Where our trigger did not see Immich empty its table, the oldest row may stand in for that moment: every row was written
    -- after it. From our first migration on the trigger would have seen it.
    since := coalesce(emptied, least(
      (SELECT min(applied_at) FROM mesh.migration),
      (SELECT min(status."ocrAt") FROM public.asset_job_status AS status
       WHERE EXISTS (SELECT FROM public.asset_ocr AS line WHERE line."assetId" = status."assetId"))));
    RETURN QUERY
    SELECT 'text', asset.id, CASE WHEN asset.id = ANY (unreadable) THEN 'no_preview' WHEN status."ocrAt" IS NULL THEN 'never'
                                  WHEN emptied IS NULL THEN 'nothing_found' ELSE 'lost' END
    FROM public.asset LEFT JOIN public.asset_job_status AS status ON status."assetId" = asset.id
    WHERE asset."ownerId" = owner AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
      AND (status."ocrAt" IS NULL
           OR (status."ocrAt" < since AND NOT EXISTS (SELECT FROM public.asset_ocr AS line WHERE line."assetId" = asset.id)))
    ORDER BY asset.id;
  ELSIF mesh.trusted('ocr_info') IS NOT NULL THEN
    RETURN QUERY
    SELECT 'text', asset.id, CASE WHEN asset.id = ANY (unreadable) THEN 'no_preview' ELSE 'never' END FROM public.asset
    WHERE asset."ownerId" = owner AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
      AND NOT EXISTS (SELECT FROM public.ocr_info AS info WHERE info."assetId" = asset.id)
    ORDER BY asset.id;
  END IF;

  IF mesh.trusted('smart_search') IS NOT NULL THEN
    RETURN QUERY
    SELECT 'vector', asset.id, CASE WHEN asset.id = ANY (unreadable) THEN 'no_preview' ELSE 'never' END FROM public.asset
    WHERE asset."ownerId" = owner AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
      AND NOT EXISTS (SELECT FROM public.smart_search AS vector WHERE vector."assetId" = asset.id)
    ORDER BY asset.id;
  END IF;

  IF mesh.looks_for_faces() THEN
    RETURN QUERY
    SELECT 'faces', asset.id, CASE WHEN asset.id = ANY (unreadable) THEN 'no_preview' ELSE 'never' END
    FROM public.asset LEFT JOIN public.asset_job_status AS status ON status."assetId" = asset.id
    WHERE asset."ownerId" = owner AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
      AND status."facesRecognizedAt" IS NULL
    ORDER BY asset.id;
  END IF;
END
$$;
COMMENT ON FUNCTION mesh.missing(uuid) IS
  'What an owner''s photos lack (text, vector, faces) and why: never made, lost in a forced run, nothing found by a run that may have been lost, no preview to make it from.';

CREATE FUNCTION mesh.looks_for_faces() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = mesh.trusted('asset_job_status')
                 AND attname = 'facesRecognizedAt' AND NOT attisdropped)
$$;
COMMENT ON FUNCTION mesh.looks_for_faces() IS 'Whether this Immich notes when it looked for faces in a photo.';

CREATE FUNCTION mesh.faces_at(photo uuid) RETURNS timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(false);
  IF NOT mesh.looks_for_faces() THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT status."facesRecognizedAt" FROM public.asset_job_status AS status WHERE status."assetId" = photo);
END
$$;
COMMENT ON FUNCTION mesh.faces_at(uuid) IS 'When Immich last looked for faces in a photo; null for never.';
