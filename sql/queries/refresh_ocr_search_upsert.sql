INSERT INTO public.ocr_search ("assetId", text) VALUES ($1, $2)
ON CONFLICT ("assetId") DO UPDATE SET text = excluded.text
