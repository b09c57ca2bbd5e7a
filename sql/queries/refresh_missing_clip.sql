-- Photos of one owner without an embedding; no search by look can find them.
SELECT asset.id
FROM public.asset
WHERE asset."ownerId" = $1 AND asset."deletedAt" IS NULL AND asset.visibility::text IN ('timeline', 'archive')
    AND NOT EXISTS (SELECT FROM public.smart_search AS vector WHERE vector."assetId" = asset.id)
ORDER BY asset.id
