DELETE FROM public.ocr_search WHERE "assetId" = $1
