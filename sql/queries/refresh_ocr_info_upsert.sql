-- The seed system's fork keeps one row per photo, also for one without text: a stale row must not survive.
INSERT INTO public.ocr_info ("assetId", text, "ocrJson") VALUES ($1, $2, $3::jsonb)
ON CONFLICT ("assetId") DO UPDATE SET text = excluded.text, "ocrJson" = excluded."ocrJson"
