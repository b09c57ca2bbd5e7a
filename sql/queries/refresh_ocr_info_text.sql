SELECT text FROM public.ocr_info WHERE "assetId" = $1
