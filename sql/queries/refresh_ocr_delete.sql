DELETE FROM public.asset_ocr WHERE "assetId" = $1
