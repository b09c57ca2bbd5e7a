-- Photos of one owner whose text Immich lost. Either no OCR run ever ended (`ocrAt` is empty), or one did, but before
-- Immich last emptied the table for a forced run: every row there was written after that moment, so a photo without
-- rows whose `ocrAt` is older than all photos with rows was dropped on the way.
WITH since AS (
    SELECT min(status."ocrAt") AS at
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
