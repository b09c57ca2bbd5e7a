-- The seed system's fork: photos of one owner without a row.
SELECT asset.id
FROM public.asset
WHERE asset."ownerId" = $1 AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
    AND NOT EXISTS (SELECT FROM public.ocr_info AS info WHERE info."assetId" = asset.id)
ORDER BY asset.id
