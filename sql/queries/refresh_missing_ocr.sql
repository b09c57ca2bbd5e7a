-- Photos of one owner whose text Immich lost. Either no OCR run ever ended (`ocrAt` is empty), or one did, but before
-- Immich last emptied the table for a forced run: a photo without rows whose `ocrAt` is older than that moment was
-- dropped on the way. The moment is $2, where our trigger saw it; it also shows a run that was lost whole. Without it
-- the oldest `ocrAt` of a photo with rows stands in: every row was written after the table was emptied.
WITH since AS (
    SELECT coalesce($2::timestamptz, min(status."ocrAt")) AS at
    FROM public.asset_job_status AS status
    WHERE EXISTS (SELECT FROM public.asset_ocr AS line WHERE line."assetId" = status."assetId")
)
SELECT asset.id
FROM public.asset
LEFT JOIN public.asset_job_status AS status ON status."assetId" = asset.id
WHERE asset."ownerId" = $1 AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
    AND (
        status."ocrAt" IS NULL
        OR (
            status."ocrAt" < (SELECT at FROM since)
            AND NOT EXISTS (SELECT FROM public.asset_ocr AS line WHERE line."assetId" = asset.id)
        )
    )
ORDER BY asset.id
