-- The text that a photo has now, in the order in which it was written.
SELECT text FROM public.asset_ocr WHERE "assetId" = $1 ORDER BY ctid
