INSERT INTO public.asset_job_status ("assetId", "ocrAt") VALUES ($1, $2)
ON CONFLICT ("assetId") DO UPDATE SET "ocrAt" = excluded."ocrAt"
