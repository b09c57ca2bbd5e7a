-- Self-healing: which of Immich's queues a planned stop has paused, and photos of forced OCR runs that were lost whole.
--
-- Immich takes a photo for done when "ocrAt" has a value, and keeps that value when it empties asset_ocr for a forced run.
-- Without it, Immich's own "missing" job finds the photo again.

CREATE TABLE mesh.paused_queue (queue text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE mesh.paused_queue IS 'Queues of Immich''s that the last router paused when it stopped; the next one resumes them.';

CREATE FUNCTION mesh.paused_queues() RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(true);
  RETURN ARRAY(SELECT queue FROM mesh.paused_queue ORDER BY queue);
END
$$;

CREATE FUNCTION mesh.note_paused(queues text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(true);
  INSERT INTO mesh.paused_queue (queue) SELECT unnest(queues) ON CONFLICT DO NOTHING;
END
$$;

CREATE FUNCTION mesh.forget_paused(queues text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(true);
  DELETE FROM mesh.paused_queue WHERE queue = ANY (queues);
END
$$;

CREATE FUNCTION mesh.requeue_lost_text(batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  since timestamptz := (SELECT at FROM mesh.emptied WHERE source = 'asset_ocr');
  requeued integer;
BEGIN
  PERFORM mesh.demand(true);
  IF since IS NULL OR mesh.trusted('asset') IS NULL OR mesh.trusted('asset_ocr') IS NULL OR mesh.trusted('asset_job_status') IS NULL THEN
    RETURN 0;
  END IF;
  PERFORM set_config('search_path', 'pg_catalog, public, pg_temp', true);
  UPDATE public.asset_job_status AS status SET "ocrAt" = NULL
  WHERE status."assetId" IN (
    SELECT lost."assetId" FROM public.asset_job_status AS lost JOIN public.asset ON asset.id = lost."assetId"
    WHERE lost."ocrAt" < since AND asset."deletedAt" IS NULL AND asset.visibility::text <> 'hidden'
      AND NOT EXISTS (SELECT FROM public.asset_ocr AS line WHERE line."assetId" = lost."assetId")
    ORDER BY lost."assetId" LIMIT batch FOR UPDATE OF lost SKIP LOCKED);
  GET DIAGNOSTICS requeued = ROW_COUNT;
  RETURN requeued;
END
$$;
COMMENT ON FUNCTION mesh.requeue_lost_text(integer) IS 'Lets Immich''s "missing" job find photos whose text a forced run lost; how many.';
